/** Readers of a probe's arguments as C, one function an argument: what `USDT.get_text()` of BCC gives. */
import { UnsupportedError } from "../../base/index.ts";
import type { UsdtArgument } from "../../object/index.ts";
import { type UsdtPlace, type UsdtProbeInfo, argumentCType, argumentType, registerName } from "./probe.ts";

function assignment(argument: UsdtArgument, to: string, what: string): string {
  switch (argument.kind) {
    case "constant":
      return `${to} = ${argument.value}ll;`;
    case "register":
      return `${to} = ctx->${registerName(argument.register.name)};`;
    case "unreadable":
      throw new UnsupportedError(what, `argument ${argument.text} cannot be read: ${argument.reason}`);
    case "memory": {
      const { base, index, scale, offset } = argument;
      const scaled = index === undefined ? "" : ` + (ctx->${registerName(index.name)} * ${scale})`;
      const address = `ctx->${registerName(base!.name)} + ${offset}${scaled}`;
      const type = argumentType(argument);
      return (
        `{ u64 __addr = ${address}; ${type} __res = 0x0; ` +
        `bpf_probe_read_user(&__res, sizeof(__res), (void *)__addr); ${to} = __res; }`
      );
    }
  }
}

/** Two places whose arguments are read in the same way. */
function isSame(a: UsdtArgument, b: UsdtArgument): boolean {
  const text = (argument: UsdtArgument): string =>
    JSON.stringify(argument, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)).replace(
      /"text":"(?:[^"\\]|\\.)*",?/,
      "",
    );
  return text(a) === text(b);
}

/** Whether an argument (from 0) is in the same place wherever the probe is passed. */
export function isUniform(places: readonly UsdtPlace[], index: number): boolean {
  const first = places[0]?.arguments[index];
  return (
    first !== undefined &&
    places.every((place) => place.arguments[index] !== undefined && isSame(first, place.arguments[index]))
  );
}

/**
 * Readers of all arguments of a probe that `fn` is enabled on. `addressOf` is the address of a place while it runs, asked for only where
 * places differ. Throws UnsupportedError for an argument that programs cannot read.
 */
export function readerText(probe: UsdtProbeInfo, fn: string, addressOf: (place: UsdtPlace) => bigint): string {
  let text = "";
  for (let index = 0; index < probe.numArguments; index++) {
    const type = argumentCType(probe, index);
    const to = `*((${type} *)dest)`;
    const what = `usdt ${probe.shortName()}`;
    text += `static __always_inline int _bpf_readarg_${fn}_${index + 1}(struct pt_regs *ctx, void *dest, size_t len) {\n`;
    text += `  if (len != sizeof(${type})) return -1;\n`;
    if (isUniform(probe.places, index)) {
      text += `  ${assignment(probe.places[0]!.arguments[index]!, to, what)}\n  return 0;\n}\n`;
      continue;
    }
    text += "  switch (PT_REGS_IP(ctx)) {\n";
    for (const place of probe.places) {
      const argument = place.arguments[index];
      if (argument === undefined) continue;
      text += `  case 0x${addressOf(place).toString(16)}ULL: ${assignment(argument, to, what)} return 0;\n`;
    }
    text += "  }\n  return -1;\n}\n";
  }
  return text;
}
