/** Scripts whose whole output is compared, byte for byte, with bpftrace 0.17's. */
import { beforeAll, expect, test } from "vitest";
import { describeWith } from "../support/needs.ts";
import { bundleCli, run } from "./support.ts";

/** Deterministic, and accepted by both. Where 0.17 leaves the order of equal values open, no two are equal. */
const SCRIPTS = [
  'BEGIN { @i=-4; @u=(uint64)5; @a["x"]=3; @a["y"]=1; @b[1,"two"]=5; exit(); }',
  "BEGIN { @av=avg(3); @av=avg(-9); @st=stats(5); @st=stats(7); exit(); }",
  "BEGIN { @h=hist(3); @h=hist(100); @h=hist(0); @h=hist(-5); @h=hist(1); @h=hist(1000000); exit(); }",
  "BEGIN { @lh=lhist(5,0,100,10); @lh=lhist(50,0,100,10); @lh=lhist(-1,0,100,10); @lh=lhist(100,0,100,10); exit(); }",
  "BEGIN { @lh=lhist(5000,0,1024000,1024); @k[1]=hist(4); @k[2]=hist(4); @k[2]=hist(9); exit(); }",
  'BEGIN { @ak[1]=avg(4); @ak[2]=avg(3); @sk[1,"x"]=stats(3); @sk[2,"y"]=stats(1); exit(); }',
  "BEGIN { @mi=min(5); @mi=min(3); @mx[3]=max(2); @su=sum(4); @su=sum(5); @c=count(); exit(); }",
  'BEGIN { @t=(1,"a",(-2,3)); @s="abc"; @f[1]="x"; @f[0]="y"; @g["b"]="1"; @g["a"]="2"; exit(); }',
  'BEGIN { print((1,2)); print("x"); print(3); print(-3); print((int8)-1); exit(); }',
  "BEGIN { @x=5; print(@x); @y[1]=2; @y[2]=3; print(@y, 1); print(@y, 0, 2); clear(@y); exit(); }",
  'BEGIN { @x["a"]=5; zero(@x); exit(); }',
  'BEGIN { @x["a"]=count(); @x["b"]=count(); @x["b"]=count(); delete(@x["a"]); exit(); }',
  'BEGIN { printf("%s %d %x\\n", "abc", 12, 255); printf("%-10s|%5d|\\n", "x", 3); exit(); }',
  'BEGIN { time("%Y\\n"); printf("a\\tb\\"c\\\\\\n"); exit(); }',
  "BEGIN { $i=0; while ($i<5) { @[$i]=$i*$i; $i++; } exit(); }",
  'BEGIN { unroll(3) { @x++; } if (@x == 3) { printf("three\\n"); } else { printf("no\\n"); } exit(); }',
  'BEGIN { printf("%r\\n", buf("a\\x01b\\xff", 4)); exit(); }',
  'BEGIN { printf("%s %s\\n", ntop(0x0100007f), ntop(2, 0x01020304)); exit(); }',
  "BEGIN { @a=ksym(0); @b[ntop(1)]=1; exit(); }",
  "BEGIN { @=count(); @=count(); print(@); @b=sum(5); print(@b); @m=max(9); print(@m); @av=avg(4); print(@av); exit(); }",
  'BEGIN { @e["k"]=count(); clear(@e); exit(); }',
  'BEGIN { printf("%d %d %d\\n", 7/2, 7%3, 1<<4); printf("%d %d\\n", 5>3, !0); exit(); }',
  'BEGIN { exit(); } END { @x=1; printf("bye\\n"); }',
  'BEGIN { cat("/etc/hostname"); exit(); }',
  "BEGIN { print(@nothing); @nothing[1]=count(); clear(@nothing); exit(); }",
  'BEGIN { @j["a\\"b\\\\c\\n"]=1; exit(); }',
  'i:ms:20 { printf("tick\\n"); exit(); }',
  'BEGIN { @h["a","b"]=hist(2); @l["z"]=lhist(3,0,10,5); exit(); }',
];

describeWith(["root", "bpf", "bpftrace"], "--compat 0.17 prints what bpftrace 0.17 prints", () => {
  let skep: string;
  beforeAll(async () => {
    skep = await bundleCli();
  }, 60_000);

  test.each(SCRIPTS)(
    "%s",
    async (script) => {
      for (const format of ["text", "json"]) {
        const theirs = await run("bpftrace", ["-f", format, "-e", script]);
        const ours = await run(process.execPath, [skep, "trace", "--compat", "0.17", "-f", format, "-e", script]);
        expect(ours.stdout, ours.stderr).toBe(theirs.stdout);
        expect(ours.status).toBe(theirs.status);
      }
    },
    60_000,
  );
});
