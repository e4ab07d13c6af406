/** What scripts compute: each row is a script that runs at once, and what it prints. */

/** Statements of a `BEGIN`, and the lines they print; maps at the end included. */
export const VALUES: readonly (readonly [string, string])[] = [
  // Arithmetic is C's in 64 bits
  ['$a = -8; $b = 3; printf("%d %d %d\\n", $a / $b, $a % $b, $a >> 1);', "-2 -2 -4"],
  ['$a = 7; printf("%d %d %d %d\\n", $a / 2, $a % 2, $a & 5, ~$a);', "3 1 5 -8"],
  ['$a = (int8)200; $b = (uint8)200; $c = (int32)-1; printf("%d %d %d\\n", $a, $b, $c);', "-56 200 -1"],
  ['printf("%llu\\n", (uint64)-1);', "18446744073709551615"],
  [
    '$a = (uint32)4294967295; $a++; $b = (int8)127; $b++; $c = (uint8)0; $c--; printf("%d %d %d\\n", $a, $b, $c);',
    "0 -128 255",
  ],
  ['$x = -1; $y = (uint64)1; printf("%d %d %d\\n", $x < $y, $x < 1, $x < (uint32)5);', "0 1 1"],
  ['$a = 1; $b = $a++ + ++$a; printf("%d %d\\n", $a, $b);', "3 4"],
  ['$z = pid * 0; printf("%d %d\\n", 5 / $z, 5 % $z);', "0 5"],
  // Control
  [
    '$i = 0; while ($i < 5) { $i++; if ($i == 2) { continue; } if ($i == 4) { break; } printf("%d ", $i); } print($i);',
    "1 3 4",
  ],
  ["$n = 300; $s = 0; for ($j : 0..$n) { $s += $j; } print($s);", "44850"],
  ['for ($j : 2..6) { if ($j == 3) { continue; } printf("%d ", $j); } print(0);', "2 4 5 0"],
  ["$i = 0; while ($i < 100000) { $i++; @n++; } print($i);", "100000\n@n: 100000"],
  ['unroll(3) { printf("u"); } printf("\\n");', "uuu"],
  ['if (pid == 0 || pid > 0 && comm != "x") { print(1); } else { print(2); }', "1"],
  ["print(1); return; print(2);", "1"],
  ['print({ let $a = 1; $a + 1 }); print(pid > 0 ? "yes" : "no"); print(0 ?: 7);', "2\nyes\n7"],
  // Sides of a choice may only do something
  ['pid ? printf("yes ") : printf("no "); pid == 0 ? @a++ : @b++; print(1);', "yes 1\n@b: 1"],
  // Pointers in maps move by elements
  [
    "@p = (int32 *)0x32; @p -= 6; @q[1] = (int16 *)0x32; @q[1] += 2; @q[2] = (int16 *)0x32; @q[2]++; $d = 2; @r = (int64 *)0x32; @r += $d;",
    "@p: 0x1a\n@q[1]: 0x36\n@q[2]: 0x34\n@r: 0x42",
  ],
  // Scalars and keyed maps
  [
    '@x = 5; @x++; ++@x; @x += 10; @x -= 3; @x *= 2; @x /= 3; @x |= 16; @x ^= 1; printf("%d %d %d\\n", @x++, ++@x, @x);',
    "24 26 26\n@x: 26",
  ],
  ['@m[1]++; @m[1]++; @m[2] += 5; printf("%d %d %d\\n", @m[1], @m[2]++, @m[3]);', "2 5 0\n@m[1]: 2\n@m[2]: 6"],
  ['@s = "hello"; @s = "hi"; @m["a", 1] = @s; print(@m["a", 1]); clear(@s);', "hi\n@m[a, 1]: hi"],
  ["@k[(uint8)1, (int64)-1] = 5; @k[1, -1]++;", "@k[1, -1]: 6"],
  [
    "@m[1] = 1; @m[2] = 2; print((delete(@m, 1), delete(@m, 1), has_key(@m, 2), has_key(@m, 1), len(@m)));",
    "(true, false, true, false, 1)\n@m[2]: 2",
  ],
  ["@x = 1; delete(@x); @y = 0; @z[1] = 0;", "@y: 0\n@z[1]: 0"],
  [
    '$t = (1, "two", (3, (uint8)4)); @k[$t] = 1; print($t.2.1); print($t == (1, "two", (3, (uint8)4)));',
    "4\ntrue\n@k[1, two, (3, 4)]: 1",
  ],
  // Loops over maps
  [
    '@a["x"] = 1; @a["y"] = 2; $s = 0; for ($kv : @a) { $s += $kv.1; @b[$kv.0] = $kv.1 * 10; } print($s); clear(@a);',
    "3\n@b[x]: 10\n@b[y]: 20",
  ],
  ["@a[1] = 1; @a[2] = 2; $n = 0; for ($kv : @a) { $n++; if ($n == 1) { break; } } print($n); clear(@a);", "1"],
  ["@a[1] = 1; for ($kv : @a) { print($kv); return; } print(0);", "(1, 1)\n@a[1]: 1"],
  ['@c[1] = count(); @c[1] = count(); for ($kv : @c) { printf("%d: %d\\n", $kv.0, (int64)$kv.1); } clear(@c);', "1: 2"],
  [
    '@a[1] = 1; @b[10] = 2; $str = "s"; for ($x : @a) { for ($y : @b) { @t[$x.0 + $y.0, $str] = $y.1; } } clear(@a); clear(@b);',
    "@t[11, s]: 2",
  ],
  // Aggregations
  [
    '@c = count(); @c = count(); @s = sum(5); @s = sum(-7); @i = min(5); @i = min(-3); @x = max(5); @x = max(9); @a = avg(4); @a = avg(8); printf("%d %d %d %d %d\\n", @c, @s, @i, @x, @a);',
    "2 -2 -3 9 6\n@a: 6\n@c: 2\n@i: -3\n@s: -2\n@x: 9",
  ],
  [
    "@c[1] = count(); @s[1] = sum(5); @s[1] = sum(-7); @i[1] = min(5); @i[1] = min(-3); @x[1] = max(5); @x[1] = max(9); @a[1] = avg(4); @a[1] = avg(8);",
    "@a[1]: 6\n@c[1]: 1\n@i[1]: -3\n@s[1]: -2\n@x[1]: 9",
  ],
  ["@s = sum(0); @i = min(0); @c = count(); delete(@c);", "@i: 0\n@s: 0"],
  ["@h[1] = hist(5); @h[2] = hist(5); delete(@h, 1); delete(@h, 2);", ""],
  // Text
  [
    '$s = "abc"; $t = $s; print(($s == $t, $s == "abc", $s == "abd", $s != "ab", $s == "abcd"));',
    "(true, true, false, true, false)",
  ],
  ['print((strncmp("hello", "help", 3), strncmp("hello", "help", 4), strncmp("a", "a", 9)));', "(0, 1, 0)"],
  [
    '$h = "haystack"; print((strcontains($h, "st"), strcontains($h, "sx"), strcontains("aab", "ab"), strcontains($h, ""), strcontains($h, "ck")));',
    "(true, false, true, true, true)",
  ],
  [
    '$h = "hello"; $n = 3; print(str($h, $n)); print(str($h, 4)); $e = str(kptr(0)); printf("[%s]\\n", $e);',
    "he\nhel\n[]",
  ],
  // A length counts the NUL, so that one byte holds no text.
  [
    '$c = curtask.comm; $z = pid * 0; printf("[%s] [%s] [%s] [%s]\\n", str($c, 1), str($c, $z), str($c, $z + 1), str("ab", $z + 9));',
    "[] [] [] [ab]",
  ],
  // The name of the probe is text to compare and to search
  [
    'print((probe == "begin", probe != "begin", strcontains(probe, "gin"), strncmp(probe, "bee", 2)));',
    "(true, false, true, 0)",
  ],
  [
    'print(strerror(2)); print(strerror(pid * 0 + 13)); printf("%r\\n", buf("a\\x01b", 3));',
    "No such file or directory\nPermission denied\na\\x01b",
  ],
  // Memory
  ["print((curtask.pid == tid, curtask->real_parent->tgid == ppid, curtask->comm == comm));", "(true, true, true)"],
  ["print(str(curtask->nsproxy->uts_ns->name.sysname)); print(curtask->comm[0] == curtask->comm[0]);", "Linux\ntrue"],
  ["$p = &@v; @v = 77; print(*$p); $x = 5; $q = &$x; print(*$q);", "77\n5\n@v: 77"],
  [
    '$a = pton("1.2.3.4"); $i = 2; print(($a[0], $a[$i], $a == pton("1.2.3.4"))); print(ntop($a)); print(ntop(pton("::1"))); print(ntop(0x0100007f));',
    "(1, 3, true)\n1.2.3.4\n::1\n127.0.0.1",
  ],
  ["$a = (uint8[8])0x0807060504030201; print($a); print((uint64)$a == 0x0807060504030201);", "[1,2,3,4,5,6,7,8]\ntrue"],
  ["print((bswap((uint16)0x1234), bswap((uint32)0x12345678)));", "(13330, 2018915346)"],
  ["print(probe); @p[probe] = 1;", "begin\n@p[begin]: 1"],
  ["print((elapsed < 10000000000, elapsed > 0, nsecs > 0, rand >= 0, cgroup > 0));", "(true, true, true, true, true)"],
];

/** What was printed without empty lines. */
export function lines(output: string): string {
  return output
    .split("\n")
    .filter((line) => line !== "")
    .join("\n");
}
