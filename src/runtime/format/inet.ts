/** Network addresses as inet_ntop(3) and the kernel write them. */

/** `192.0.2.1`. */
export function formatIpv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** `2001:db8::1`: the longest run of zero groups is cut; mapped and compatible IPv4 addresses end in dots, as glibc writes them. */
export function formatIpv6(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 8; i++) groups.push((bytes[at + 2 * i]! << 8) | bytes[at + 2 * i + 1]!);
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    if (length > 0) i += length - 1;
  }
  const dotted = best === 0 && (bestLength === 6 || (bestLength === 5 && groups[5] === 0xffff));
  let out = "";
  for (let i = 0; i < 8; i++) {
    if (best !== -1 && i >= best && i < best + bestLength) {
      if (i === best) out += ":";
      continue;
    }
    if (i !== 0) out += ":";
    if (i === 6 && dotted) return out + formatIpv4(bytes, at + 12);
    out += groups[i]!.toString(16);
  }
  if (best !== -1 && best + bestLength === 8) out += ":";
  return out;
}

/** `00:1A:2B:3C:4D:5E`. */
export function formatMac(bytes: Uint8Array, at: number): string {
  let out = "";
  for (let i = 0; i < 6; i++) out += (i ? ":" : "") + bytes[at + i]!.toString(16).toUpperCase().padStart(2, "0");
  return out;
}
