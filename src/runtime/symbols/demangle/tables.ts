/** Codes of the Itanium C++ ABI (section 5.1): types, operators, abbreviations, names that compilers make. */

/** Types that a code stands for, as GNU's demangler writes them. */
export const builtinTypes: ReadonlyMap<string, string> = new Map([
  ["v", "void"],
  ["w", "wchar_t"],
  ["b", "bool"],
  ["c", "char"],
  ["a", "signed char"],
  ["h", "unsigned char"],
  ["s", "short"],
  ["t", "unsigned short"],
  ["i", "int"],
  ["j", "unsigned int"],
  ["l", "long"],
  ["m", "unsigned long"],
  ["x", "long long"],
  ["y", "unsigned long long"],
  ["n", "__int128"],
  ["o", "unsigned __int128"],
  ["f", "float"],
  ["d", "double"],
  ["e", "long double"],
  ["g", "__float128"],
  ["z", "..."],
  ["Dd", "decimal64"],
  ["De", "decimal128"],
  ["Df", "decimal32"],
  ["Dh", "half"],
  ["Di", "char32_t"],
  ["Ds", "char16_t"],
  ["Du", "char8_t"],
  ["Da", "auto"],
  ["Dc", "decltype(auto)"],
  ["Dn", "decltype(nullptr)"],
]);

/** An operator: how it is written, and its operands in expressions (0: it stands in none here). */
export interface OperatorSign {
  readonly text: string;
  readonly operands: 0 | 1 | 2 | 3;
}

function signs(operands: OperatorSign["operands"], pairs: string): [string, OperatorSign][] {
  return pairs
    .trim()
    .split(/\s+/)
    .map((pair) => [pair.slice(0, 2), { text: pair.slice(2), operands }]);
}

/** Operators by their codes. */
export const operators: ReadonlyMap<string, OperatorSign> = new Map<string, OperatorSign>([
  ...signs(1, "ps+ ng- ad& de* co~ nt! pp++ mm--"),
  ...signs(
    2,
    `pl+ mi- ml* dv/ rm% an& or| eo^ aS= pL+= mI-= mL*= dV/= rM%= aN&= oR|= eO^= ls<< rs>> lS<<= rS>>= eq== ne!= lt< gt>
     le<= ge>= ss<=> aa&& oo|| cm, pm->*`,
  ),
  ...signs(3, "qu?"),
  ...signs(0, "pt-> cl() ix[] dldelete nwnew"),
  ["na", { text: "new[]", operands: 0 }],
  ["da", { text: "delete[]", operands: 0 }],
  ["aw", { text: "co_await", operands: 0 }],
]);

/** `S` and a letter. */
export const shorts: ReadonlyMap<string, string> = new Map([
  ["a", "std::allocator"],
  ["b", "std::basic_string"],
  ["s", "std::string"],
  ["i", "std::istream"],
  ["o", "std::ostream"],
  ["d", "std::iostream"],
]);

const CHAR_TRAITS = "<char, std::char_traits<char> >";

/** The same before constructors and destructors: in full, with the name that these have. */
export const shortExpansions: ReadonlyMap<string, readonly [text: string, last: string]> = new Map([
  ["a", ["std::allocator", "allocator"]],
  ["b", ["std::basic_string", "basic_string"]],
  ["s", ["std::basic_string<char, std::char_traits<char>, std::allocator<char> >", "basic_string"]],
  ["i", [`std::basic_istream${CHAR_TRAITS}`, "basic_istream"]],
  ["o", [`std::basic_ostream${CHAR_TRAITS}`, "basic_ostream"]],
  ["d", [`std::basic_iostream${CHAR_TRAITS}`, "basic_iostream"]],
]);

/** Names that compilers make: code, text before, what follows. */
export const specials: readonly (readonly [
  code: string,
  text: string,
  follows: "type" | "name" | "encoding" | "thunk" | "construction" | "temporary",
])[] = [
  ["TV", "vtable for ", "type"],
  ["TT", "VTT for ", "type"],
  ["TI", "typeinfo for ", "type"],
  ["TS", "typeinfo name for ", "type"],
  ["Th", "non-virtual thunk to ", "thunk"],
  ["Tv", "virtual thunk to ", "thunk"],
  ["Tc", "covariant return thunk to ", "thunk"],
  ["TC", "construction vtable for ", "construction"],
  ["TW", "TLS wrapper function for ", "name"],
  ["TH", "TLS init function for ", "name"],
  ["GV", "guard variable for ", "name"],
  ["GTt", "transaction clone for ", "encoding"],
  ["GTn", "non-transaction clone for ", "encoding"],
  ["GR", "reference temporary for ", "temporary"],
];
