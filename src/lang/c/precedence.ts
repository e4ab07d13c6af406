/** Operators of two operands, for expressions and for conditions of the preprocessor alike (C11 6.5). */

/** Binds tighter the higher; `?:`, assignment and comma are below all. */
export const precedence: Readonly<Record<string, number | undefined>> = {
  "||": 1,
  "&&": 2,
  "|": 3,
  "^": 4,
  "&": 5,
  "==": 6,
  "!=": 6,
  "<": 7,
  ">": 7,
  "<=": 7,
  ">=": 7,
  "<<": 8,
  ">>": 8,
  "+": 9,
  "-": 9,
  "*": 10,
  "/": 10,
  "%": 10,
};
