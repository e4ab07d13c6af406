/** IP addresses as text. */

/** Bytes of an IPv4 (4) or IPv6 (16) address in network order; null when the text is neither. */
export function parseAddress(text: string): Uint8Array | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((p) => /^\d{1,3}$/.test(p) && Number(p) < 256)) return null;
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  const bytes: number[][] = [];
  for (const half of groups) {
    const out: number[] = [];
    for (const [i, group] of half.entries()) {
      if (group.includes(".")) {
        const tail = half === groups.at(-1) && i === half.length - 1 ? parseIpv4(group) : null;
        if (!tail) return null;
        out.push(...tail);
      } else {
        if (!/^[0-9a-f]{1,4}$/i.test(group)) return null;
        const value = parseInt(group, 16);
        out.push(value >> 8, value & 0xff);
      }
    }
    bytes.push(out);
  }
  const [head = [], tail = []] = bytes;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null;
  return Uint8Array.from([...head, ...Array.from({ length: missing }, () => 0), ...tail]);
}
