/** Variables of an object: its own globals, which live in maps of data, and externs, which a kernel fills in. */

/** A global variable. */
export interface VariableSpec {
  readonly name: string;
  /** Map of its section: `.rodata`, `.data`, `.bss`, `.data.custom`, an arena. */
  readonly map: string;
  /** Bytes from the start of the map's value. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** Type in the object's BTF, 0 without. */
  readonly typeId: number;
  /** `static` ones are not part of the object's interface; `weak` ones yield to others when objects are linked. */
  readonly linkage: "static" | "global" | "weak";
}

/** Something that only the kernel which runs the object has. */
export type ExternSpec = KconfigExtern | KsymExtern | KfuncExtern;

/** A variable of `.kconfig`: the value of a kernel option, or of one of libbpf's `LINUX_*` names. */
export interface KconfigExtern {
  readonly kind: "kconfig";
  readonly name: string;
  readonly typeId: number;
  /** Bytes from the start of the map `.kconfig`. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** `tristate` is `enum libbpf_tristate`: 0 no, 1 yes, 2 module. */
  readonly shape: "bool" | "char" | "tristate" | "int" | "char-array";
  readonly signed: boolean;
  /** Zero when the option is not set; else that is an error. */
  readonly weak: boolean;
}

/** A variable of `.ksyms`. */
export interface KsymExtern {
  readonly kind: "ksym";
  readonly name: string;
  /** Its type in the object's BTF; 0 for `void`: only the address is wanted. */
  readonly typeId: number;
  readonly weak: boolean;
}

/** A function of `.ksyms`. */
export interface KfuncExtern {
  readonly kind: "kfunc";
  readonly name: string;
  /** Its `FUNC` in the object's BTF. */
  readonly typeId: number;
  readonly weak: boolean;
}
