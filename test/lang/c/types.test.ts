import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Btf, BtfKind } from "../../../src/btf/index.ts";
import { KernelTypes } from "../../../src/lang/c/types/kernel-types.ts";
import { alignOf, findField, layOut, sizeOf } from "../../../src/lang/c/types/layout.ts";
import type { MemberDeclaration, RecordAttributes } from "../../../src/lang/c/types/layout.ts";
import {
  BOOL,
  CHAR,
  type CType,
  INT,
  LONG,
  LONG_LONG,
  RecordType,
  SHORT,
  UNSIGNED_CHAR,
  UNSIGNED_INT,
  UNSIGNED_LONG,
  UNSIGNED_SHORT,
  VOID,
  pointerTo,
  qualified,
  shapeOf,
  typeText,
} from "../../../src/lang/c/types/types.ts";
import { Elf } from "../../../src/object/index.ts";
import { describeWith } from "../../support/needs.ts";

describe("types as C writes them", () => {
  const array = (of: CType, count?: number): CType => ({ kind: "array", of, count });
  const func = (result: CType, ...params: CType[]): CType => ({
    kind: "function",
    result,
    params: params.map((type) => ({ name: undefined, type })),
    variadic: false,
    unprototyped: false,
  });
  const task = new RecordType(false, "task_struct");
  test.each<[CType, string]>([
    [UNSIGNED_LONG, "unsigned long"],
    [pointerTo(qualified(CHAR, { const: true })), "const char *"],
    [qualified(pointerTo(CHAR), { const: true }), "char *const"],
    [pointerTo(pointerTo(task)), "struct task_struct **"],
    [array(array(INT, 3), 2), "int [2][3]"],
    [pointerTo(array(INT, 4)), "int (*)[4]"],
    [array(pointerTo(INT)), "int *[]"],
    [pointerTo(func(VOID, INT, pointerTo(VOID))), "void (*)(int, void *)"],
    [func(pointerTo(func(INT))), "int (*(void))(void)"],
    [qualified(array(CHAR, 2), { const: true }), "const char [2]"],
    [pointerTo({ kind: "tagged", tag: "kptr", of: task }), "struct task_struct *"],
    [{ kind: "typedef", name: "u32", to: UNSIGNED_INT }, "u32"],
    [
      pointerTo(qualified({ kind: "typedef", name: "u32", to: UNSIGNED_INT }, { const: true, volatile: true })),
      "const volatile u32 *",
    ],
  ])("%#", (type, text) => {
    expect(typeText(type).replace(/(\w)\[/, "$1 [")).toBe(text);
  });

  test("qualifiers of an array are its elements'", () => {
    const type = qualified(array(INT, 2), { const: true });
    expect(shapeOf(type)).toMatchObject({ kind: "array", of: { kind: "qualified", const: true } });
  });
});

/** A struct or union as text for clang and as declarations for us. */
interface Made {
  readonly text: string;
  readonly union: boolean;
  readonly members: MemberDeclaration[];
  readonly attributes: RecordAttributes;
}

const scalars: readonly (readonly [string, CType, number])[] = [
  ["char", CHAR, 8],
  ["unsigned char", UNSIGNED_CHAR, 8],
  ["_Bool", BOOL, 1],
  ["short", SHORT, 16],
  ["unsigned short", UNSIGNED_SHORT, 16],
  ["int", INT, 32],
  ["unsigned int", UNSIGNED_INT, 32],
  ["long", LONG, 64],
  ["unsigned long", UNSIGNED_LONG, 64],
  ["long long", LONG_LONG, 64],
];

/** Random structs, with everything that layouts depend on. */
class Generator {
  private seed: number;
  readonly made: (readonly [name: string, type: CType])[] = [];

  constructor(seed: number) {
    this.seed = seed;
  }

  private random(below: number): number {
    this.seed = (Math.imul(this.seed, 1103515245) + 12345) >>> 0;
    return (this.seed >>> 9) % below;
  }

  private chance(percent: number): boolean {
    return this.random(100) < percent;
  }

  record(name: string): Made {
    const union = this.chance(20);
    const members: MemberDeclaration[] = [];
    const lines: string[] = [];
    const bitfields = this.chance(60);
    const count = 1 + this.random(9);
    for (let i = 0; i < count; i++) {
      const [spelled, type, bits] = scalars[this.random(scalars.length)]!;
      const align = this.chance(8) ? 2 ** this.random(6) : undefined;
      const packed = this.chance(5);
      const attributes =
        (align === undefined ? "" : ` __attribute__((aligned(${align})))`) + (packed ? " __attribute__((packed))" : "");
      const options = { ...(align === undefined ? {} : { align }), ...(packed ? { packed } : {}) };
      if (bitfields && this.chance(60)) {
        const unnamed = this.chance(20);
        const width = unnamed && this.chance(40) ? 0 : 1 + this.random(bits);
        // clang ignores `aligned` on what has no name.
        const extra = unnamed ? {} : options;
        lines.push(`${spelled} ${unnamed ? "" : `m${i}`} : ${width}${unnamed ? "" : attributes};`);
        members.push({ name: unnamed ? undefined : `m${i}`, type, bitWidth: width, ...extra });
      } else if (this.made.length > 0 && this.chance(25)) {
        const [inner, innerType] = this.made[this.random(this.made.length)]!;
        lines.push(`${inner} m${i}${attributes};`);
        members.push({ name: `m${i}`, type: innerType, ...options });
      } else if (this.chance(20)) {
        const length = 1 + this.random(5);
        lines.push(`${spelled} m${i}[${length}]${attributes};`);
        members.push({ name: `m${i}`, type: { kind: "array", of: type, count: length }, ...options });
      } else if (this.chance(15)) {
        lines.push(`void *m${i}${attributes};`);
        members.push({ name: `m${i}`, type: pointerTo(VOID), ...options });
      } else {
        lines.push(`${spelled} m${i}${attributes};`);
        members.push({ name: `m${i}`, type, ...options });
      }
    }
    const packed = this.chance(12);
    const align = this.chance(10) ? 2 ** this.random(7) : undefined;
    const mostAlign = this.chance(8) ? 2 ** this.random(4) : undefined;
    const attributes =
      (packed ? " __attribute__((packed))" : "") + (align === undefined ? "" : ` __attribute__((aligned(${align})))`);
    const keyword = union ? "union" : "struct";
    const body = `${keyword} ${name} {\n  ${lines.join("\n  ")}\n}${attributes};`;
    return {
      union,
      members,
      text: mostAlign === undefined ? body : `#pragma pack(push, ${mostAlign})\n${body}\n#pragma pack(pop)`,
      attributes: {
        ...(packed ? { packed } : {}),
        ...(align === undefined ? {} : { align }),
        ...(mostAlign === undefined ? {} : { mostAlign }),
      },
    };
  }
}

describeWith(["clang"], "layouts beside clang's", () => {
  test("a thousand random structs and unions lie as clang lays them", () => {
    const folder = mkdtempSync(join(tmpdir(), "skep-c-"));
    try {
      const generator = new Generator(20260101);
      const all: { name: string; made: Made; type: RecordType }[] = [];
      for (let i = 0; i < 1000; i++) {
        const made = generator.record(`r${i}`);
        const type = new RecordType(made.union, `r${i}`);
        type.define(layOut(made.union, made.members, made.attributes));
        all.push({ name: `r${i}`, made, type });
        generator.made.push([`${type.keyword} r${i}`, type]);
      }
      const variables = all.map(
        ({ name, type }) =>
          `${type.keyword} ${name} v_${name};\nunsigned long a_${name} = __alignof__(${type.keyword} ${name});`,
      );
      const file = join(folder, "a.c");
      writeFileSync(file, `${all.map(({ made }) => made.text).join("\n")}\n${variables.join("\n")}\n`);
      execFileSync("clang", ["-target", "bpf", "-g", "-O1", "-w", "-c", file, "-o", join(folder, "a.o")]);
      const elf = Elf.parse(readFileSync(join(folder, "a.o")));
      const btf = Btf.parse(elf.sectionData(elf.sectionByName(".BTF")!));
      const data = elf.sectionData(elf.sectionByName(".data")!);
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      for (const { name, made, type } of all) {
        const theirs = btf.typeById(btf.findByName(name, made.union ? BtfKind.UNION : BtfKind.STRUCT)!);
        if (theirs.kind !== BtfKind.STRUCT && theirs.kind !== BtfKind.UNION) throw new Error(name);
        const ours = type.contents!;
        const align = Number(view.getBigUint64(Number(elf.findSymbol(`a_${name}`)!.value), true));
        expect(
          { size: ours.size, align: ours.align, at: ours.fields.map((f) => [f.name, f.bitOffset, f.bitWidth ?? 0]) },
          made.text,
        ).toEqual({
          size: theirs.size,
          align,
          at: theirs.members.map((m) => [m.name, m.bitOffset, m.bitfieldSize]),
        });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describeWith(["vmlinuxBtf"], "types of the kernel", () => {
  const btf = (): Btf => Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));

  test("are found by tag, typedef and constant, and looked into when asked", () => {
    const types = new KernelTypes(btf(), { preserveAccessIndex: true });
    const task = types.record(false, "task_struct")!;
    expect(task).toBe(types.record(false, "task_struct"));
    expect(task.preserveAccessIndex).toBe(true);
    const pid = findField(task.contents!, "pid")!;
    expect(typeText(pid.path[0]!.type)).toBe("pid_t");
    expect(sizeOf(pid.path[0]!.type)).toBe(4);
    expect(shapeOf(types.typedef("u64")!)).toMatchObject({ kind: "integer", bits: 64, signed: false });
    expect(types.constant("BPF_MAP_TYPE_HASH")?.value).toBe(1n);
    expect(types.record(false, "no_such_struct")).toBeUndefined();
    expect(types.typedef("no_such_type")).toBeUndefined();
  });

  test("members of anonymous unions have the way to them", () => {
    const types = new KernelTypes(btf());
    const page = types.record(false, "page")!.contents!;
    const found = findField(page, "lru")!;
    expect(found.path.length).toBeGreaterThan(1);
    expect(found.path.at(-1)!.name).toBe("lru");
    expect(found.bitOffset).toBe(found.path.reduce((sum, field) => sum + field.bitOffset, 0));
  });

  test("our layout of their members is theirs, but for attributes that BTF does not hold", () => {
    const kernel = btf();
    const types = new KernelTypes(kernel);
    let same = 0;
    const others: string[] = [];
    for (let id = 1; id < kernel.typeCount; id++) {
      const kind = kernel.kindOf(id);
      if (kind !== BtfKind.STRUCT && kind !== BtfKind.UNION) continue;
      const record = types.type(id) as RecordType;
      const { fields, size } = record.contents!;
      const members = fields.map((f) => ({
        name: f.name,
        type: f.type,
        ...(f.bitWidth === undefined ? {} : { bitWidth: f.bitWidth }),
      }));
      const alike = (attributes: RecordAttributes): boolean => {
        const made = layOut(record.union, members, attributes);
        return made.size === size && made.fields.every((f, i) => f.bitOffset === fields[i]!.bitOffset);
      };
      const attributes = [{}, { packed: true }, ...[4, 8, 16, 32, 64, 128, 4096].map((align) => ({ align }))];
      if (attributes.some(alike)) same++;
      else others.push(typeText(record));
    }
    // What is left has aligned members or unnamed bitfields.
    expect(others.length).toBeLessThan((same + others.length) / 50);
  });

  test("all types of a kernel can be read", () => {
    const kernel = btf();
    const types = new KernelTypes(kernel);
    for (let id = 1; id < kernel.typeCount; id++) {
      const kind = kernel.kindOf(id);
      if (kind === BtfKind.VAR || kind === BtfKind.DATASEC || kind === BtfKind.DECL_TAG) continue;
      const type = types.type(id);
      expect(alignOf(type)).toBeGreaterThan(0);
    }
  });
});

test("damaged types that contain themselves are an error", () => {
  // Two pointers to each other, by hand: header, types, an empty string.
  const words = [0x0001eb9f, 24, 0, 24, 24, 1];
  const pointer = (to: number): number[] => [0, BtfKind.PTR << 24, to];
  const bytes = new Uint8Array(24 + 24 + 1);
  new Uint32Array(bytes.buffer, 0, 12).set([...words, ...pointer(2), ...pointer(1)]);
  const types = new KernelTypes(Btf.parse(bytes));
  expect(() => types.type(1)).toThrow("it contains itself");
});
