/** Types of the UAPI without BTF: {@link uapiTypes}, parsed when a program first names what its kernel does not have. */
import { Diagnostics } from "../../diagnostics.ts";
import { NameTable } from "../../names.ts";
import type { Binding, OuterDeclarations } from "../../parser/scope.ts";
import { UnitParser } from "../../parser/unit.ts";
import { Preprocessor } from "../../preprocessor/preprocessor.ts";
import { SourceMap } from "../../source-map.ts";
import type { EnumType, RecordType } from "../../types/types.ts";
import { uapiTypes } from "./uapi-types.ts";

/** What the table of types declares, by name. */
export interface KnownTypes {
  readonly tags: ReadonlyMap<string, RecordType | EnumType>;
  readonly ordinary: ReadonlyMap<string, Binding>;
}

/** Parses the table; `integers` has the names of integers that it builds on. */
export function parseKnownTypes(integers: OuterDeclarations): KnownTypes {
  const sources = new SourceMap();
  const diagnostics = new Diagnostics(sources);
  const names = new NameTable();
  const headers = { find: () => undefined };
  const preprocessor = new Preprocessor("uapi", uapiTypes, { sources, names, diagnostics, headers });
  const declared = new UnitParser(preprocessor, diagnostics, names, integers).declarations();
  diagnostics.throwIfErrors();
  return {
    tags: new Map([...declared.tags].map(([name, type]) => [name.text, type])),
    ordinary: new Map([...declared.ordinary].map(([name, binding]) => [name.text, { ...binding, location: 0 }])),
  };
}
