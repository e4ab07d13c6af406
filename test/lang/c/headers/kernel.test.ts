import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Btf } from "../../../../src/btf/index.ts";
import { BuiltinHeaders } from "../../../../src/lang/c/headers/index.ts";
import { KernelConstants, constantTables, tableEntries } from "../../../../src/lang/c/headers/kernel/constants.ts";
import { macroGroups } from "../../../../src/lang/c/headers/kernel/macros.ts";
import { uapiTypes } from "../../../../src/lang/c/headers/kernel/uapi-types.ts";
import { KernelDeclarations } from "../../../../src/lang/c/outer.ts";
import { KernelTypes } from "../../../../src/lang/c/types/kernel-types.ts";
import { shapeOf } from "../../../../src/lang/c/types/types.ts";
import { describeWith } from "../../../support/needs.ts";
import { parse } from "../support.ts";

/** What the front end says to a program that has headers of ours alone, and no kernel. */
function messages(text: string, options: { readonly dialect?: "bcc"; readonly btf?: Btf } = {}): string {
  const outer = new KernelDeclarations(options.btf === undefined ? undefined : new KernelTypes(options.btf));
  return parse(text, outer, new BuiltinHeaders(options), (name) => outer.macroValue(name)).diagnostics.format();
}

/** Programs that name what kernel headers have, without a kernel. */
const programs: readonly (readonly [string, string])[] = [
  [
    "packets",
    "int f(struct xdp_md *c) { void *d = (void *)(long)c->data, *e = (void *)(long)c->data_end; struct ethhdr *h = d; struct iphdr *i = (void *)(h + 1); if ((void *)(i + 1) > e) return XDP_DROP; return h->h_proto == htons(ETH_P_IP) && i->protocol == IPPROTO_TCP ? XDP_PASS : XDP_TX; }",
  ],
  [
    "classifiers",
    "int f(struct __sk_buff *s) { struct ipv6hdr h; bpf_skb_load_bytes(s, ETH_HLEN, &h, sizeof(h)); return h.nexthdr == NEXTHDR_TCP && h.saddr.s6_addr32[0] ? TC_ACT_SHOT : TC_ACT_OK; }",
  ],
  [
    "sockets",
    "int f(struct bpf_sock_ops *o) { int v = 1; return bpf_setsockopt(o, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)) + o->op == BPF_SOCK_OPS_TCP_CONNECT_CB; }",
  ],
  [
    "numbers",
    "unsigned long a[] = { NSEC_PER_SEC, PAGE_SIZE, ENOENT, O_CREAT | O_RDWR, S_ISREG(0), U64_MAX, INT_MIN, NAME_MAX, TASK_UNINTERRUPTIBLE, CLONE_NEWNET, SIGKILL, CAP_SYS_ADMIN, __NR_write, LINUX_VERSION_CODE }; ",
  ],
  [
    "types of C",
    "#include <stdint.h>\n#include <stdbool.h>\n#include <stddef.h>\nuint64_t a = UINT64_C(5); bool b = true; size_t c = offsetof(struct iphdr, check); intptr_t d = 0; int8_t e = INT8_MIN;",
  ],
  [
    "C's library",
    "#include <string.h>\nint f(char *a, const char *b) { memcpy(a, b, 4); memset(a, 0, 2); memmove(a, b, 3); return memcmp(a, b, 4) + strlen(b); }",
  ],
  [
    "declared library",
    "void *memcpy(void *, const void *, unsigned long); int f(char *a, char *b) { return memcpy(a, b, 8) == a; }",
  ],
  [
    "macros of the kernel",
    'struct s { int x; struct { int y; } in; }; int f(int *p, int n) { struct s *s = container_of(p, struct s, in.y); return min_t(int, n, 3) + max(n, 4) + ARRAY_SIZE("abc") + DIV_ROUND_UP(n, 8) + BIT(3) + IS_ERR(p) + s->x + READ_ONCE(s->in.y); }',
  ],
  [
    "conditions",
    "#include <linux/version.h>\n#if LINUX_VERSION_CODE < KERNEL_VERSION(4, 0, 0) || PAGE_SIZE != 4096 || !defined(AF_INET) || IS_ENABLED(CONFIG_NOTHING)\n#error wrong\n#endif",
  ],
  [
    "kernel configuration",
    "#include <linux/kconfig.h>\n#define CONFIG_NET 1\n#define CONFIG_X_MODULE 1\n#if !IS_ENABLED(CONFIG_NET) || !IS_ENABLED(CONFIG_X) || IS_BUILTIN(CONFIG_X)\n#error wrong\n#endif",
  ],
  [
    "words before types",
    '#include <linux/types.h>\nstruct __packed s { char a; int b; }; _Static_assert(sizeof(struct s) == 5, ""); int f(const char __user *p, int x __maybe_unused) { return p != NULL; }',
  ],
  [
    "instructions",
    'struct bpf_insn a[] = { BPF_MOV64_IMM(BPF_REG_0, 1), BPF_LD_MAP_FD(BPF_REG_1, 3), BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 1), BPF_EXIT_INSN() }; _Static_assert(sizeof(a) == 40, "");',
  ],
  ["registers of user space", "int f(struct pt_regs *r) { return r->rdi + r->di + r->rax; }"],
  [
    "any header of the kernel",
    '#include <linux/sched.h>\n#include <net/sock.h>\n#include <uapi/linux/ptrace.h>\n#include <asm/ptrace.h>\n#include <sys/socket.h>\n#include <netinet/in.h>\n#include "../../include/linux/filter.h"\nint x;',
  ],
  [
    "maps of old",
    'struct bpf_map_def __attribute__((section("maps"))) m = { .type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 1 };',
  ],
];

/** Definitions of a program's own that have names of kernel headers. */
const own: readonly (readonly [string, string])[] = [
  [
    "macros",
    "#include <linux/in.h>\n#define AF_INET 99\n#define ETH_P_IP 0x800\n#define NULL 0\n#define min(a, b) 1\nint x[AF_INET == 99 ? 1 : -1];",
  ],
  ["macros before the header", "#define NULL 0\n#define __packed\n#include <linux/types.h>\nint *x = NULL;"],
  ["macros in conditions", "#ifndef PAGE_SIZE\n#define PAGE_SIZE 1\n#endif\nint x = PAGE_SIZE;"],
  [
    "functions",
    "static int max(int a, int b) { return a > b; } static int ntohs(int x) { return x; } int f(void) { return max(1, 2) + ntohs(3); }",
  ],
  ["enumerators", 'enum { AF_INET = 7, TC_ACT_OK = 8 }; _Static_assert(AF_INET == 7 && TC_ACT_OK == 8, "");'],
  ["variables", "static int ENOENT = 5; int f(int HZ) { int READ = HZ; return READ + ENOENT; }"],
  [
    "structs",
    "struct iphdr { int mine; }; struct ethhdr { char a; }; int f(struct iphdr *i) { return i->mine + sizeof(struct ethhdr); }",
  ],
  [
    "structs after use",
    "int g(struct iphdr *); struct iphdr { int mine; }; int f(struct iphdr *i) { return i->mine; }",
  ],
  [
    "types",
    'typedef char u64; typedef int pid_t; typedef struct { int a; } size_t; _Static_assert(sizeof(u64) == 1, ""); size_t s = { 1 };',
  ],
  [
    "members",
    "struct sock { int sk_dport; }; struct in6_addr { int s6_addr; }; int f(struct sock *s, struct in6_addr *a) { return s->sk_dport + a->s6_addr; }",
  ],
];

describe("kernel headers without a kernel", () => {
  test.each(programs)("%s", (_, text) => {
    expect(messages(text)).toBe("");
    expect(messages(text, { dialect: "bcc" })).toBe("");
  });

  test.each(own)("a program's own %s", (_, text) => expect(messages(text)).toBe(""));

  test.each([
    ["#include <linux/nonsense/../x>", "there is no header <linux/nonsense/../x>"],
    ["#include <stdlob.h>", "did you mean stdlib.h"],
    ['#include "my_types.h"', "the folder that has it with -I"],
    ["#include <bpf/bpf_helper.h>", "did you mean bpf/bpf_helpers.h"],
    ["int x = ETH_P_IPX6;", "did you mean ETH_P_IP"],
    ["int f(void) { return contaner_of(1, 2, 3); }", "contaner_of is not declared"],
  ])("%s", (text, message) => expect(messages(text)).toContain(message));

  test("arm64 numbers what it numbers in its own way", () => {
    const [intel, arm] = (["x86_64", "arm64"] as const).map((arch) => new KernelConstants({ arch }));
    expect([intel!.find("O_DIRECTORY")?.value, arm!.find("O_DIRECTORY")?.value]).toEqual([0x10000n, 0x4000n]);
    expect([intel!.find("__NR_write")?.value, arm!.find("__NR_write")?.value]).toEqual([1n, 64n]);
  });

  test("every number of the tables is one", () => {
    const constants = new KernelConstants();
    for (const { text } of constantTables)
      for (const [name] of tableEntries(text))
        if (/^[A-Z]/.test(name)) expect(constants.find(name), name).toBeDefined();
  });
});

describeWith(["vmlinuxBtf"], "kernel headers with a kernel's types", () => {
  const btf = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));

  test.each([
    ["sock", "sk_dport sk_daddr sk_rcv_saddr sk_num sk_family sk_state sk_net sk_v6_daddr sk_rmem_alloc"],
    ["inet_sock", "inet_daddr inet_dport inet_num inet_rcv_saddr"],
    ["inet_request_sock", "ir_loc_addr ir_rmt_addr ir_rmt_port ir_num ireq_family"],
    ["inet_timewait_sock", "tw_daddr tw_dport tw_family tw_net"],
    ["in6_addr", "s6_addr s6_addr16 s6_addr32"],
    ["dentry", "d_lock d_iname"],
    ["kernel_siginfo", "si_pid si_uid si_addr si_status"],
    ["flowi4", "flowi4_proto fl4_dport"],
    ["icmp6hdr", "icmp6_mtu icmp6_identifier"],
  ])("members of struct %s that are macros", (tag, names) => {
    const uses = names.split(" ").map((name) => `(void)(p->${name}), (void)__builtin_offsetof(struct ${tag}, ${name})`);
    expect(messages(`void f(struct ${tag} *p) { ${uses.join(", ")}; }`, { btf })).toBe("");
  });

  test("an alias is the member that it stands for", () => {
    const text =
      '_Static_assert(__builtin_offsetof(struct sock, sk_dport) == __builtin_offsetof(struct sock, __sk_common.skc_dport), "");';
    expect(messages(text, { btf })).toBe("");
  });

  test("numbers that the types tell come from there", () => {
    const constants = new KernelConstants({ types: new KernelTypes(btf) });
    expect(constants.find("DNAME_INLINE_LEN")!.value).toBeGreaterThanOrEqual(32n);
    expect(constants.find("REQ_SYNC")?.value).toBe(1n << btf.enumValue("__REQ_SYNC")!.value);
    expect(constants.find("CGROUP_SUBSYS_COUNT")!.value).toBeGreaterThan(3n);
  });

  test("functions that the kernel offers need no declaration", () => {
    const tagged = messages("int f(void) { struct task_struct *t = bpf_task_from_pid(1); return t != 0; }", { btf });
    // Kernels before 6.10 do not say in their types which functions these are.
    if (!tagged.includes("is not declared")) expect(tagged).toBe("");
  });

  test("types that this kernel lacks are known all the same", () => {
    expect(messages("struct bpf_map_def m; struct user_pt_regs r; in_addr_t a;", { btf })).toBe("");
  });
});

describeWith(["clang"], "beside clang and the headers of the UAPI", () => {
  /** The lines of `text` that clang refuses for user space. */
  function refused(includes: readonly string[], lines: readonly string[]): string[] {
    const folder = mkdtempSync(join(tmpdir(), "skep-uapi-"));
    try {
      const file = join(folder, "a.c");
      writeFileSync(
        file,
        `#define _GNU_SOURCE\n${includes.map((name) => `#include <${name}>`).join("\n")}\n#line 1 "check"\n${lines.join("\n")}\n`,
      );
      const { stderr } = spawnSync("clang", ["-fsyntax-only", "-w", "-ferror-limit=0", file], { encoding: "utf8" });
      return [...stderr.matchAll(/^check:(\d+):\d+: error: .*/gm)].map(
        (match) => `${lines[Number(match[1]) - 1]} ${match[0]}`,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  const headers =
    "errno.h sys/socket.h netinet/in.h fcntl.h sys/stat.h signal.h limits.h stdint.h linux/bpf.h linux/if_ether.h linux/if_arp.h linux/if_packet.h linux/icmp.h linux/icmpv6.h linux/pkt_cls.h linux/tcp.h linux/mpls.h linux/capability.h linux/futex.h linux/netfilter.h linux/sched.h linux/perf_event.h linux/seg6.h linux/lirc.h";

  test("numbers are those of the headers", () => {
    const constants = new KernelConstants();
    const lines: string[] = [];
    for (const { text } of constantTables) {
      for (const [name] of tableEntries(text)) {
        const found = constants.find(name);
        // Some names of the kernel's own headers are others in user space.
        if (
          found === undefined ||
          /^(?:__|READ|WRITE|MSG_TYPE|SOCK_TYPE|NET_IP|TCP_(?:ECN|NAGLE)|SIG_|ENOTSUP$|PAGE|LINUX)/.test(name)
        )
          continue;
        lines.push(
          `#ifdef ${name}`,
          `_Static_assert((unsigned long long)(${name}) == ${BigInt.asUintN(64, found.value)}ULL, "");`,
          "#endif",
        );
      }
    }
    const wrong = refused(headers.split(" "), lines);
    expect(wrong).toEqual([]);
  });

  test("structs are laid out as in the headers", () => {
    const outer = new KernelDeclarations();
    const lines: string[] = [];
    const headersOfStructs =
      "linux/bpf.h linux/if_ether.h linux/ip.h linux/ipv6.h linux/tcp.h linux/udp.h linux/icmp.h linux/icmpv6.h linux/if_arp.h linux/in.h linux/in6.h linux/un.h linux/mpls.h linux/seg6.h linux/time.h linux/uio.h";
    for (const [, tag] of uapiTypes.matchAll(/^struct (\w+) \{/gm)) {
      const body = outer.record(false, tag!)?.contents;
      // Names that only the kernel has, or whose header has another.
      if (
        body === undefined ||
        /^(?:pt_regs|user_pt_regs|vlan_|frag_hdr|arphdr|gre_|sr6_tlv|bpf_(?:map_def|iter_num|perf_event_data|wq|refcount|lpm|list|rb|dynptr|timer))/.test(
          tag!,
        )
      )
        continue;
      lines.push(`_Static_assert(sizeof(struct ${tag}) == ${body.size}, "");`);
      for (const field of body.fields) {
        if (field.name === undefined || field.bitWidth !== undefined || /^__|^sa_data|^sin_/.test(field.name)) continue;
        lines.push(`_Static_assert(__builtin_offsetof(struct ${tag}, ${field.name}) == ${field.bitOffset / 8}, "");`);
        if (shapeOf(field.type).kind === "record") continue;
      }
    }
    const wrong = refused(headersOfStructs.split(" "), lines).filter(
      // Structs only grow: what an older header lacks is no contradiction.
      (line) => !/no member named|incomplete type/.test(line),
    );
    expect(wrong.filter((line) => !/sizeof\(struct (?:__sk_buff|bpf_|sk_)/.test(line))).toEqual([]);
  });
});

test("groups of macros are spelled as definitions", () => {
  for (const { definitions } of macroGroups)
    for (const definition of definitions) expect(definition).toMatch(/^\w+\([^)]*\) \S/);
});
