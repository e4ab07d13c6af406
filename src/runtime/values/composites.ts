/** Structs, unions and sections of variables: plain objects. */
import { nearestNames } from "../../base/index.ts";
import { type Part, type Read, ValueProblem, type Write, shown } from "./part.ts";

/** A member that has a name. */
export interface NamedMember {
  readonly name: string;
  /** Bytes from the start of the outermost struct. */
  readonly offset: number;
  readonly part: Part;
}

/** Members of a struct or union; anonymous ones are groups of their own. */
export interface MemberGroup {
  readonly isUnion: boolean;
  /** Bytes from the start of the outermost struct, and of this one. */
  readonly offset: number;
  readonly size: number;
  readonly members: readonly (NamedMember | MemberGroup)[];
}

type Members = Readonly<Record<string, unknown>>;

const isGroup = (member: NamedMember | MemberGroup): member is MemberGroup => "members" in member;

/** All named members of a group and of those in it, in the order of declaration. */
export function namedMembers(group: MemberGroup): NamedMember[] {
  return group.members.flatMap((member) => (isGroup(member) ? namedMembers(member) : [member]));
}

function reader(members: readonly NamedMember[]): Read {
  const names = members.map(({ name }) => name);
  const offsets = members.map(({ offset }) => offset);
  const reads = members.map(({ part }) => part.read);
  const last = names.length - 1;
  if (last < 0) return () => ({});
  const plain: Read = (view, offset, end) => {
    const value: Record<string, unknown> = {};
    for (let i = 0; i < last; i++) value[names[i]!] = reads[i]!(view, offset + offsets[i]!, 0);
    // Only what is last can extend to the end of a record.
    value[names[last]!] = reads[last]!(view, offset + offsets[last]!, end);
    return value;
  };
  if (!names.includes("__proto__")) return plain;
  return (view, offset, end) =>
    Object.fromEntries(
      members.map(({ name, part }, i) => [name, part.read(view, offset + offsets[i]!, i === last ? end : 0)]),
    );
}

/** Whether two values that were read are the same. */
function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => same((a as Members)[key], (b as Members)[key]));
}

/** A writer of the members of `group` that a value has; undefined members are passed over. */
function writer(group: MemberGroup): {
  readonly has: (value: Members) => boolean;
  readonly write: Write;
  readonly names: string;
} {
  const entries = group.members.map((member) => {
    if (isGroup(member)) {
      const inner = writer(member);
      return { ...inner, fields: namedMembers(member) };
    }
    const { name, offset, part } = member;
    return {
      has: (value: Members) => Object.hasOwn(value, name) && value[name] !== undefined,
      write: (view: DataView, at: number, value: unknown) => {
        try {
          part.write(view, at + offset, (value as Members)[name]);
        } catch (error) {
          throw ValueProblem.within(error, `.${name}`);
        }
      },
      names: name,
      fields: [member],
    };
  });
  const names = entries.map((entry) => entry.names).join(", ");
  const has = (value: Members): boolean => entries.some((entry) => entry.has(value));
  if (!group.isUnion) {
    const write: Write = (view, at, value) => {
      for (const entry of entries) if (entry.has(value as Members)) entry.write(view, at, value);
    };
    return { has, write, names };
  }
  const { offset: start, size } = group;
  const write: Write = (view, at, value) => {
    const given = entries.filter((entry) => entry.has(value as Members));
    if (given.length <= 1) {
      given[0]?.write(view, at, value);
      return;
    }
    // What each member says, read back so that the ways to give a value do not count.
    const said = given.map((entry) => {
      const scratch = new DataView(new ArrayBuffer(size));
      entry.write(scratch, -start, value);
      const fields = entry.fields.filter(({ name }) => (value as Members)[name] !== undefined);
      return { scratch, fields, values: fields.map(({ part, offset }) => part.read(scratch, offset - start, 0)) };
    });
    // One of them has to say it all: a text has lost what was behind its NUL, a number of the same bytes has not.
    const whole = said.find(({ scratch }) =>
      said.every(({ fields, values }) =>
        fields.every(({ part, offset }, i) => same(part.read(scratch, offset - start, 0), values[i])),
      ),
    );
    if (whole === undefined) {
      const which = given.map((entry) => entry.names).join(" and ");
      throw new ValueProblem(`${which} share their bytes and say different things: give one of them`, true);
    }
    const target = new Uint8Array(view.buffer, view.byteOffset + at + start, size);
    target.set(new Uint8Array(whole.scratch.buffer));
  };
  return { has, write, names };
}

/** A struct, union or section as a plain object. `what` names it in errors. */
export function compositePart(group: MemberGroup, what: string): Part {
  const members = namedMembers(group);
  const { write } = writer(group);
  const names = new Set(members.map(({ name }) => name));
  const last = members.at(-1);
  const lastLength = last?.part.byteLength;
  return {
    size: group.size,
    read: reader(members),
    write: (view, offset, value) => {
      if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
        throw new ValueProblem(`${what} wants an object of its members, not ${shown(value)}`, false);
      }
      for (const name of Object.keys(value)) {
        if (names.has(name)) continue;
        const near = nearestNames(name, names);
        const hint = near.length === 0 ? `it has ${[...names].join(", ")}` : `did you mean ${near.join(", ")}?`;
        throw new ValueProblem(`${what} has no member ${name}; ${hint}`, false);
      }
      write(view, offset, value);
    },
    ...(last === undefined || lastLength === undefined
      ? {}
      : {
          byteLength: (value: unknown) =>
            Math.max(group.size, last.offset + lastLength((value as Members | null | undefined)?.[last.name])),
        }),
  };
}
