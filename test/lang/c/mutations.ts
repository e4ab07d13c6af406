/** Inputs for fuzzing the C front end: bytes in any order, and real sources with tokens lost, doubled, swapped and cut off. */

/** Numbers below a limit, the same for the same seed. */
export type Random = (below: number) => number;

/** A generator of pseudo-random numbers (xorshift32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** What programs are made of, and what trips parsers. */
const pieces: readonly string[] = (
  'int struct union enum typedef static extern const volatile unsigned long char void _Bool x y p f { } ( ) [ ] ; , = * & . -> + - ! ~ ? : 1 0x7f 2.5 "s" ' +
  "'c' if else for while do switch case default return goto break continue sizeof typeof _Generic __builtin_offsetof __builtin_preserve_access_index " +
  '__attribute__((packed)) __attribute__((section("x"))) asm __label__ ... ## # #define #undef #include #if #ifdef #else #endif #elif #pragma #line #error ' +
  "__VA_ARGS__ __VA_OPT__ __COUNTER__ __LINE__ defined ({ }) << >> <= && || ++ -- += \\ \n \t ' \" /* */ // <: %> @ ` $ \u00e9 \0 __int128 float __thread " +
  "BPF_CORE_READ SEC bpf_printk bpf_for container_of min_t task_struct BPF_MAP_TYPE_HASH u64 pid_t 999999999999999999999999 0b102 1e999"
).split(" ");

/** Tokens of a source, roughly: words, numbers, texts, line ends, single signs. */
function tokens(text: string): string[] {
  return text.match(/[A-Za-z_]\w*|\d[\w.]*|"(?:[^"\\\n]|\\.)*"|\s+|./gs) ?? [];
}

function bytes(random: Random): string {
  const length = random(400);
  let text = "";
  for (let i = 0; i < length; i++) text += String.fromCharCode(random(4) === 0 ? random(0x3000) : random(128));
  return text;
}

function soup(random: Random): string {
  let text = "";
  for (let i = random(120); i >= 0; i--) text += pieces[random(pieces.length)]! + (random(5) === 0 ? "\n" : " ");
  return text;
}

function mutated(source: string, random: Random): string {
  const list = tokens(source);
  if (list.length === 0) return source;
  for (let edits = 1 + random(6); edits > 0; edits--) {
    const at = random(list.length);
    const other = random(list.length);
    switch (random(7)) {
      case 0:
        list.splice(at, 1 + random(4));
        break;
      case 1:
        list.splice(at, 0, ...list.slice(other, other + 1 + random(20)));
        break;
      case 2:
        [list[at], list[other]] = [list[other] ?? "", list[at] ?? ""];
        break;
      case 3:
        list[at] = pieces[random(pieces.length)]!;
        break;
      case 4:
        list.splice(at, 0, pieces[random(pieces.length)]!);
        break;
      case 5:
        list.length = Math.max(1, at);
        break;
      default:
        list[at] = list[other] ?? "";
    }
    if (list.length === 0) break;
  }
  return list.join("");
}

/** One input; `sources` are programs to damage. */
export function fuzzInput(sources: readonly string[], random: Random): string {
  const kind = random(10);
  if (kind === 0) return bytes(random);
  if (kind === 1) return soup(random);
  return mutated(sources[random(sources.length)] ?? "", random);
}
