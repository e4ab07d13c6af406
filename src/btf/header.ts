/** All types of a BTF as one C header that compiles: what `vmlinux.h` is. */
import type { Btf } from "./btf.ts";
import { BtfKind } from "./kinds.ts";
import { type CNames, printBtfDeclaration, printBtfType } from "./print.ts";
import type { BtfComposite, BtfEnum, BtfForward, BtfType } from "./types.ts";

/** gcc's own types of 64-bit Arm, which clang does not know, as what they are. */
const compilerTypes: Readonly<Record<string, string>> = {
  __Poly8_t: "unsigned char",
  __Poly16_t: "unsigned short",
  __Poly64_t: "unsigned long long",
  __Poly128_t: "unsigned __int128",
};

/** Structs that contain one another deeper than this only damaged data has. */
const DEPTH_LIMIT = 512;

/** How {@link printBtfHeader} writes. */
export interface HeaderOptions {
  /** Name of the macro that guards the header. Default `__VMLINUX_H__`. */
  readonly guard?: string;
  /** Declare kernel functions that programs may call (those tagged `bpf_kfunc`). Default true. */
  readonly kfuncs?: boolean;
}

/**
 * The header, with each type behind what it is made of, and structs that are only pointed at declared before. Several types of one name
 * are told apart as `name___2`. Structs have clang's attribute for CO-RE unless `BPF_NO_PRESERVE_ACCESS_INDEX` is defined.
 * Throws ParseError when types contain themselves.
 */
export function printBtfHeader(btf: Btf, options: HeaderOptions = {}): string {
  const guard = options.guard ?? "__VMLINUX_H__";
  const writer = new HeaderWriter(btf);
  writer.all();
  return [
    `#ifndef ${guard}`,
    `#define ${guard}`,
    "",
    "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX",
    "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)",
    "#endif",
    "",
    ...writer.lines,
    ...(options.kfuncs === false ? [] : writer.kfuncs()),
    "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX",
    "#pragma clang attribute pop",
    "#endif",
    "",
    `#endif /* ${guard} */`,
    "",
  ].join("\n");
}

class HeaderWriter implements CNames {
  readonly lines: string[] = [];
  private readonly btf: Btf;
  /** Structs, unions, enums and typedefs whose definition stands, and those being written. */
  private readonly defined = new Set<number>();
  private readonly writing = new Set<number>();
  /** The struct or union whose members are looked at: it may point at itself without having been declared. */
  private inside = 0;
  /** Tags that are declared without a body. */
  private readonly declared = new Set<string>();
  /** How often a name was given: structs, unions and enums share one space, typedefs and enumerators the other. */
  private readonly tags = new Map<string, number>();
  private readonly identifiers = new Map<string, number>();
  private readonly given = new Map<number, string>();
  private readonly enumerators = new Map<number, readonly string[]>();

  constructor(btf: Btf) {
    this.btf = btf;
  }

  type(type: BtfType): string {
    if (type.name === "") return "";
    switch (type.kind) {
      case BtfKind.FWD:
        return this.bodyOf(type) === undefined ? type.name : this.type(this.bodyOf(type)!);
      case BtfKind.STRUCT:
      case BtfKind.UNION:
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        return this.give(type, this.tags);
      case BtfKind.TYPEDEF:
        // The kernel's compiler has this one built in with a layout that is not that of the compiler for BPF.
        return type.name === "__builtin_va_list" ? "__kernel_va_list" : this.give(type, this.identifiers);
      default:
        return type.name;
    }
  }

  enumerator(type: BtfEnum, index: number): string {
    let names = this.enumerators.get(type.id);
    if (names === undefined) {
      names = type.values.map(({ name }) => unique(name, this.identifiers));
      this.enumerators.set(type.id, names);
    }
    return names[index]!;
  }

  private give(type: BtfType, space: Map<string, number>): string {
    let name = this.given.get(type.id);
    if (name === undefined) {
      name = unique(type.name, space);
      this.given.set(type.id, name);
    }
    return name;
  }

  /** The struct or union that a forward declaration stands for. */
  private bodyOf(type: BtfForward): BtfComposite | undefined {
    return type.union ? this.btf.unionByName(type.name) : this.btf.structByName(type.name);
  }

  all(): void {
    const { btf } = this;
    for (const name of btf.names(BtfKind.INT)) {
      const instead = compilerTypes[name];
      if (instead !== undefined) this.lines.push(`typedef ${instead} ${name};`, "");
    }
    const referred = this.referredEnums();
    for (let id = 1; id < btf.typeCount; id++) {
      switch (btf.kindOf(id)) {
        case BtfKind.STRUCT:
        case BtfKind.UNION:
          if (btf.nameOf(id) !== "") this.need(id, true, 0);
          break;
        case BtfKind.ENUM:
        case BtfKind.ENUM64:
          // Constants that no variable has the type of.
          if (btf.nameOf(id) !== "") this.need(id, true, 0);
          else if (!referred.has(id)) this.define(id);
          break;
        case BtfKind.TYPEDEF:
          this.need(id, false, 0);
          break;
        case BtfKind.FWD:
          this.need(id, false, 0);
          break;
        default:
      }
    }
  }

  /** Enums that are printed where something has their type. */
  private referredEnums(): Set<number> {
    const { btf } = this;
    const referred = new Set<number>();
    for (let id = 1; id < btf.typeCount; id++) {
      const type = btf.readType(id);
      switch (type.kind) {
        case BtfKind.STRUCT:
        case BtfKind.UNION:
          for (const member of type.members) referred.add(member.typeId);
          break;
        case BtfKind.FUNC_PROTO:
          referred.add(type.returnTypeId);
          for (const parameter of type.parameters) referred.add(parameter.typeId);
          break;
        case BtfKind.ARRAY:
          referred.add(type.elementTypeId);
          break;
        default:
          if ("typeId" in type) referred.add(type.typeId);
      }
    }
    return referred;
  }

  private define(id: number): void {
    this.defined.add(id);
    this.lines.push(`${printBtfType(this.btf, id, this)};`, "");
  }

  /** Writes what must stand before a type is used: all of it when `whole`, else what a pointer to it needs. */
  private need(id: number, whole: boolean, depth: number): void {
    const { btf } = this;
    if (depth > DEPTH_LIMIT) throw btf.damagedType(id, `types deeper than ${DEPTH_LIMIT} in one another`);
    const type = btf.typeById(id);
    switch (type.kind) {
      case BtfKind.PTR:
        this.need(type.typeId, false, depth + 1);
        break;
      case BtfKind.CONST:
      case BtfKind.VOLATILE:
      case BtfKind.RESTRICT:
      case BtfKind.TYPE_TAG:
        this.need(type.typeId, whole, depth + 1);
        break;
      case BtfKind.ARRAY:
        this.need(type.elementTypeId, true, depth + 1);
        break;
      case BtfKind.FUNC_PROTO:
        this.need(type.returnTypeId, false, depth + 1);
        for (const { typeId } of type.parameters) this.need(typeId, false, depth + 1);
        break;
      case BtfKind.TYPEDEF:
        if (whole) this.need(type.typeId, true, depth + 1);
        if (!this.defined.has(id) && !this.writing.has(id)) {
          this.writing.add(id);
          const { inside } = this;
          this.inside = 0;
          this.need(type.typeId, false, depth + 1);
          this.inside = inside;
          this.define(id);
        }
        break;
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        if (type.name !== "" && !this.defined.has(id)) this.define(id);
        break;
      case BtfKind.FWD: {
        const body = this.bodyOf(type);
        if (body !== undefined) this.need(body.id, whole, depth + 1);
        else this.declare(type.union ? "union" : "struct", type.name);
        break;
      }
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        this.needComposite(type, whole, depth);
        break;
      default:
    }
  }

  private needComposite(type: BtfComposite, whole: boolean, depth: number): void {
    const { id } = type;
    if (this.defined.has(id)) return;
    // What has no name is written where it is used.
    const anonymous = type.name === "";
    if (!whole && !anonymous) {
      if (id === this.inside) return;
      this.declare(type.kind === BtfKind.STRUCT ? "struct" : "union", this.type(type));
      return;
    }
    if (this.writing.has(id)) throw this.btf.damagedType(id, "it contains itself");
    this.writing.add(id);
    const { inside } = this;
    if (!anonymous) this.inside = id;
    for (const { typeId } of type.members) this.need(typeId, true, depth + 1);
    this.inside = inside;
    this.writing.delete(id);
    if (anonymous) this.defined.add(id);
    else this.define(id);
  }

  private declare(keyword: string, name: string): void {
    const line = `${keyword} ${name};`;
    if (this.declared.has(line)) return;
    this.declared.add(line);
    this.lines.push(line, "");
  }

  /** Prototypes of the kernel's functions for programs. */
  kfuncs(): string[] {
    const { btf } = this;
    const tagged = new Set<number>();
    for (const id of btf.idsByKind(BtfKind.DECL_TAG)) {
      const tag = btf.readType(id);
      if (tag.kind === BtfKind.DECL_TAG && tag.name === "bpf_kfunc" && tag.componentIndex < 0) tagged.add(tag.typeId);
    }
    const prototypes: string[] = [];
    const before = this.lines.length;
    for (const id of [...tagged].toSorted((a, b) => a - b)) {
      const proto = btf.funcProto(id);
      if (proto === undefined) continue;
      this.need(proto.id, false, 0);
      prototypes.push(`extern ${printBtfDeclaration(btf, proto.id, btf.nameOf(id), this)} __weak __ksym;`);
    }
    // What they alone refer to.
    const further = this.lines.splice(before);
    if (prototypes.length === 0) return further;
    return [
      ...further,
      "#ifndef BPF_NO_KFUNC_PROTOTYPES",
      "#ifndef __ksym",
      '#define __ksym __attribute__((section(".ksyms")))',
      "#endif",
      "#ifndef __weak",
      "#define __weak __attribute__((weak))",
      "#endif",
      "",
      ...prototypes,
      "#endif",
      "",
    ];
  }
}

/** A name that is given for the first time stays as it is. */
function unique(name: string, space: Map<string, number>): string {
  const count = (space.get(name) ?? 0) + 1;
  space.set(name, count);
  return count === 1 ? name : `${name}___${count}`;
}
