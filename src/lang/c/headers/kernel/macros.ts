/**
 * Macros and inline functions of kernel headers, by our own definitions. Few are defined by headers, the others when a program first calls what
 * it has not declared: a program's own functions and macros of their names stand, and are never in the way.
 */
import { unlessDefined } from "../text.ts";

/** A definition as it stands behind `#define`. */
type Definition = string;

/** What every header of the kernel and of C's library defines: what a condition may ask, and names that no program takes for something else. */
const shared: readonly Definition[] = [
  "NULL ((void *)0)",
  "offsetof(type, member) __builtin_offsetof(type, member)",
  "KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))",
  "__stringify_1(x...) #x",
  "__stringify(x...) __stringify_1(x)",
  "UINT64_C(x) x##UL",
  "INT64_C(x) x##L",
  "UINT32_C(x) x##U",
  "INT32_C(x) x",
  "___skep_placed_1 0,",
  "___skep_second(_, value, ...) value",
  "___skep_is_set(mark) ___skep_second(mark 1, 0)",
  "___skep_is_defined_(value) ___skep_is_set(___skep_placed_##value)",
  "___skep_is_defined(value) ___skep_is_defined_(value)",
  "IS_BUILTIN(option) ___skep_is_defined(option)",
  "IS_MODULE(option) ___skep_is_defined(option##_MODULE)",
  "IS_ENABLED(option) (IS_BUILTIN(option) || IS_MODULE(option))",
  "IS_REACHABLE(option) IS_ENABLED(option)",
  '__user __attribute__((btf_type_tag("user")))',
  '__percpu __attribute__((btf_type_tag("percpu")))',
  ..."__kernel __iomem __rcu __force __nocast __safe __must_check __init __exit __initdata __read_mostly __cold __bitwise __bitwise__"
    .split(" ")
    .map((word) => `${word} `),
  "__packed __attribute__((packed))",
  "__aligned(x) __attribute__((aligned(x)))",
  "__always_unused __attribute__((unused))",
  "__maybe_unused __attribute__((unused))",
  "__used __attribute__((used))",
  "__weak __attribute__((weak))",
  "__section(name) __attribute__((section(name)))",
  "__always_inline inline __attribute__((always_inline))",
  "__noinline __attribute__((noinline))",
];

/** What the kernel's own headers define besides: words, and what is no expression. */
const kernels: readonly Definition[] = [
  "noinline __attribute__((noinline))",
  "fallthrough __attribute__((fallthrough))",
  "asmlinkage ",
  "notrace ",
  "list_for_each_entry(pos, head, member) \\\n  for (pos = list_first_entry(head, __typeof__(*pos), member); &pos->member != (head); pos = list_next_entry(pos, member))",
];

/** What UAPI headers and those of C's library define: byte order, kinds of files, flags. */
const uapi: readonly Definition[] = [
  ...["16", "32", "64"].flatMap((bits) => {
    const letter = { "16": "s", "32": "l", "64": "ll" }[bits]!;
    const swap = `((__u${bits})__builtin_bswap${bits}(x))`;
    return [
      `__swab${bits}(x) ${swap}`,
      `__constant_swab${bits}(x) ${swap}`,
      ...(bits === "64" ? [] : [`hton${letter}(x) ${swap}`, `ntoh${letter}(x) ${swap}`]),
      ...(bits === "64" ? [] : [`__constant_hton${letter}(x) ${swap}`, `__constant_ntoh${letter}(x) ${swap}`]),
      ...["cpu_to_be", "be"].map((word) =>
        word === "be" ? `be${bits}_to_cpu(x) ${swap}` : `${word}${bits}(x) ${swap}`,
      ),
      ...["cpu_to_be", "be"].map((word) =>
        word === "be" ? `__be${bits}_to_cpu(x) ${swap}` : `__${word}${bits}(x) ${swap}`,
      ),
      ...["__constant_cpu_to_be", "htobe"].map((word) => `${word}${bits}(x) ${swap}`),
      `__constant_be${bits}_to_cpu(x) ${swap}`,
      `be${bits}toh(x) ${swap}`,
      ...["cpu_to_le", "__cpu_to_le", "htole"].map((word) => `${word}${bits}(x) ((__u${bits})(x))`),
      ...[`le${bits}_to_cpu`, `__le${bits}_to_cpu`, `le${bits}toh`].map((word) => `${word}(x) ((__u${bits})(x))`),
    ];
  }),
  "S_ISLNK(m) (((m) & S_IFMT) == S_IFLNK)",
  "S_ISREG(m) (((m) & S_IFMT) == S_IFREG)",
  "S_ISDIR(m) (((m) & S_IFMT) == S_IFDIR)",
  "S_ISCHR(m) (((m) & S_IFMT) == S_IFCHR)",
  "S_ISBLK(m) (((m) & S_IFMT) == S_IFBLK)",
  "S_ISFIFO(m) (((m) & S_IFMT) == S_IFIFO)",
  "S_ISSOCK(m) (((m) & S_IFMT) == S_IFSOCK)",
  "tcp_flag_word(tp) (((union tcp_word_hdr *)(tp))->words[3])",
  "GRE_IS_CSUM(f) ((f) & GRE_CSUM)",
  "GRE_IS_KEY(f) ((f) & GRE_KEY)",
  "GRE_IS_SEQ(f) ((f) & GRE_SEQ)",
  "GRE_IS_ROUTING(f) ((f) & GRE_ROUTING)",
  "LIRC_MODE2(val) ((val) & 0xff000000)",
  "LIRC_VALUE(val) ((val) & 0x00ffffff)",
  "LIRC_IS_SPACE(val) (LIRC_MODE2(val) == 0)",
  "LIRC_IS_PULSE(val) (LIRC_MODE2(val) == 0x01000000)",
  "LIRC_IS_TIMEOUT(val) (LIRC_MODE2(val) == 0x03000000)",
  "BPF_F_ADJ_ROOM_ENCAP_L2(len) (((__u64)(len) & 0xff) << 56)",
  "IN_CLASSD(a) ((((long)(a)) & 0xf0000000) == 0xe0000000)",
  "IN_MULTICAST(a) IN_CLASSD(a)",
  "CAP_TO_INDEX(x) ((x) >> 5)",
  "CAP_TO_MASK(x) (1U << ((x) & 31))",
  "assert(x) ((void)0)",
  "alignof(x) _Alignof(x)",
];

/** What is computed. */
const arithmetic: readonly Definition[] = [
  "likely(x) (__builtin_expect(!!(x), 1))",
  "unlikely(x) (__builtin_expect(!!(x), 0))",
  'barrier() __asm__ volatile("" ::: "memory")',
  "READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))",
  "WRITE_ONCE(x, val) (*(volatile __typeof__(x) *)&(x) = (val))",
  "ACCESS_ONCE(x) READ_ONCE(x)",
  "ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))",
  "container_of(ptr, type, member) ((type *)((void *)(ptr) - offsetof(type, member)))",
  "container_of_const(ptr, type, member) container_of(ptr, type, member)",
  "offsetofend(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))",
  "sizeof_field(type, member) sizeof(((type *)0)->member)",
  "FIELD_SIZEOF(type, member) sizeof_field(type, member)",
  "min_t(type, x, y) ({ type __x = (x); type __y = (y); __x < __y ? __x : __y; })",
  "max_t(type, x, y) ({ type __x = (x); type __y = (y); __x > __y ? __x : __y; })",
  "min(x, y) ({ __typeof__(x) __x = (x); __typeof__(y) __y = (y); __x < __y ? __x : __y; })",
  "max(x, y) ({ __typeof__(x) __x = (x); __typeof__(y) __y = (y); __x > __y ? __x : __y; })",
  "clamp(v, lo, hi) min(max(v, lo), hi)",
  "clamp_t(type, v, lo, hi) min_t(type, max_t(type, v, lo), hi)",
  "swap(a, b) ({ __typeof__(a) __t = (a); (a) = (b); (b) = __t; })",
  "BIT(n) (1UL << (n))",
  "BIT_ULL(n) (1ULL << (n))",
  "GENMASK(h, l) ((~0UL << (l)) & (~0UL >> (63 - (h))))",
  "GENMASK_ULL(h, l) GENMASK(h, l)",
  "DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))",
  "DIV_ROUND_CLOSEST(n, d) (((n) + (d) / 2) / (d))",
  "round_up(x, y) ((((x) - 1) | ((__typeof__(x))((y) - 1))) + 1)",
  "round_down(x, y) ((x) & ~((__typeof__(x))((y) - 1)))",
  "roundup(x, y) ((((x) + (y) - 1) / (y)) * (y))",
  "rounddown(x, y) ((x) - (x) % (y))",
  "ALIGN(x, a) round_up(x, a)",
  "IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)",
  "PAGE_ALIGN(x) ALIGN(x, PAGE_SIZE)",
  "div_u64(a, b) ((u64)(a) / (u32)(b))",
  "div64_u64(a, b) ((u64)(a) / (u64)(b))",
  "div_u64_rem(a, b, rem) ({ u64 __a = (a); *(rem) = __a % (u32)(b); __a / (u32)(b); })",
  "div64_ul(a, b) div64_u64(a, b)",
  "do_div(n, base) ({ u32 __rem = (u64)(n) % (u32)(base); (n) = (u64)(n) / (u32)(base); __rem; })",
  "lower_32_bits(n) ((u32)(n))",
  "upper_32_bits(n) ((u32)((u64)(n) >> 32))",
  "get_unaligned(ptr) (*(ptr))",
  "ilog2(n) (63 - __builtin_clzll(n))",
  "IS_ERR_VALUE(x) ((unsigned long)(x) >= (unsigned long)-MAX_ERRNO)",
  "IS_ERR(ptr) IS_ERR_VALUE(ptr)",
  "IS_ERR_OR_NULL(ptr) (!(ptr) || IS_ERR(ptr))",
  "PTR_ERR(ptr) ((long)(ptr))",
  "ERR_PTR(error) ((void *)(long)(error))",
];

/** Ways from one kernel struct to another. */
const structs: readonly Definition[] = [
  "MAJOR(dev) ((unsigned int)((dev) >> MINORBITS))",
  "MINOR(dev) ((unsigned int)((dev) & MINORMASK))",
  "MKDEV(ma, mi) (((ma) << MINORBITS) | (mi))",
  "list_entry(ptr, type, member) container_of(ptr, type, member)",
  "hlist_entry(ptr, type, member) container_of(ptr, type, member)",
  "list_first_entry(ptr, type, member) list_entry((ptr)->next, type, member)",
  "list_next_entry(pos, member) list_entry((pos)->member.next, __typeof__(*(pos)), member)",
  "rb_entry(ptr, type, member) container_of(ptr, type, member)",
  "atomic_read(v) READ_ONCE((v)->counter)",
  "atomic64_read(v) READ_ONCE((v)->counter)",
  "atomic_long_read(v) READ_ONCE((v)->counter)",
  "refcount_read(r) atomic_read(&(r)->refs)",
  "kref_read(k) refcount_read(&(k)->refcount)",
  "file_inode(f) ((f)->f_inode)",
  "d_inode(d) ((d)->d_inode)",
  "d_backing_inode(d) ((d)->d_inode)",
  "imajor(inode) MAJOR((inode)->i_rdev)",
  "iminor(inode) MINOR((inode)->i_rdev)",
  "task_pid_nr(task) ((task)->pid)",
  "task_tgid_nr(task) ((task)->tgid)",
  "__kuid_val(uid) ((uid).val)",
  "__kgid_val(gid) ((gid).val)",
  "req_op(req) ((req)->cmd_flags & REQ_OP_MASK)",
  "op_is_write(op) ((op) & 1)",
  "rq_data_dir(rq) (op_is_write(req_op(rq)) ? WRITE : READ)",
  "bio_op(bio) ((bio)->bi_opf & REQ_OP_MASK)",
  "bio_data_dir(bio) (op_is_write(bio_op(bio)) ? WRITE : READ)",
  "sg_is_chain(sg) ((sg)->page_link & SG_CHAIN)",
  "sg_is_last(sg) ((sg)->page_link & SG_END)",
  "sg_chain_ptr(sg) ((struct scatterlist *)((sg)->page_link & ~(SG_CHAIN | SG_END)))",
  "sg_page(sg) ((struct page *)((sg)->page_link & ~(SG_CHAIN | SG_END)))",
  "folio_page(folio, n) (&(folio)->page + (n))",
  "page_folio(p) ((struct folio *)(p))",
  "zone_idx(zone) ((zone) - (zone)->zone_pgdat->node_zones)",
];

/** Sockets and packets: a socket of a protocol begins with the general one. */
const networking: readonly Definition[] = [
  "skb_rx_queue_recorded(skb) ((skb)->queue_mapping != 0)",
  "skb_get_rx_queue(skb) ((u16)((skb)->queue_mapping - 1))",
  "skb_get_queue_mapping(skb) ((skb)->queue_mapping)",
  ...Object.entries({
    inet_sk: "inet_sock",
    inet_csk: "inet_connection_sock",
    tcp_sk: "tcp_sock",
    udp_sk: "udp_sock",
    raw_sk: "raw_sock",
    unix_sk: "unix_sock",
    nlk_sk: "netlink_sock",
    inet_twsk: "inet_timewait_sock",
    tcp_twsk: "tcp_timewait_sock",
    inet_reqsk: "request_sock",
    inet_rsk: "inet_request_sock",
    tcp_rsk: "tcp_request_sock",
  }).map(([name, tag]) => `${name}(sk) ((struct ${tag} *)(sk))`),
  "inet6_sk(sk) (inet_sk(sk)->pinet6)",
  "sock_net(sk) ((sk)->__sk_common.skc_net.net)",
  "dev_net(dev) ((dev)->nd_net.net)",
  "TCP_SKB_CB(skb) ((struct tcp_skb_cb *)&((skb)->cb[0]))",
  "tcp_flag_byte(th) (((__u8 *)(th))[13])",
  ...["mac", "network", "transport"].map((layer) => `skb_${layer}_header(skb) ((skb)->head + (skb)->${layer}_header)`),
  "skb_headlen(skb) ((skb)->len - (skb)->data_len)",
  "skb_end_pointer(skb) ((skb)->head + (skb)->end)",
  "skb_shinfo(skb) ((struct skb_shared_info *)skb_end_pointer(skb))",
  "eth_hdr(skb) ((struct ethhdr *)skb_mac_header(skb))",
  "ip_hdr(skb) ((struct iphdr *)skb_network_header(skb))",
  "ipv6_hdr(skb) ((struct ipv6hdr *)skb_network_header(skb))",
  "tcp_hdr(skb) ((struct tcphdr *)skb_transport_header(skb))",
  "udp_hdr(skb) ((struct udphdr *)skb_transport_header(skb))",
  "icmp_hdr(skb) ((struct icmphdr *)skb_transport_header(skb))",
];

function instruction(params: string, code: string, dst: string, src: string, off: string, imm: string): Definition {
  const members = `.code = ${code}, .dst_reg = ${dst}, .src_reg = ${src}, .off = ${off}, .imm = ${imm}`;
  return `${params} ((struct bpf_insn){ ${members} })`;
}

/** Instructions as values: programs that load programs write them. */
const instructions: readonly Definition[] = [
  ...Object.entries({ CLASS: 7, SIZE: 0x18, MODE: 0xe0, OP: 0xf0, SRC: 8 }).map(
    ([part, mask]) => `BPF_${part}(code) ((code) & ${mask})`,
  ),
  ...["ALU64", "ALU32", "JMP", "JMP32"].flatMap((kind) => {
    const code = `BPF_${kind === "ALU32" ? "ALU" : kind} | BPF_OP(OP)`;
    const [more, off] = kind.startsWith("JMP") ? [", OFF", "OFF"] : ["", "0"];
    return [
      instruction(`BPF_${kind}_REG(OP, DST, SRC${more})`, `${code} | BPF_X`, "DST", "SRC", off, "0"),
      instruction(`BPF_${kind}_IMM(OP, DST, IMM${more})`, `${code} | BPF_K`, "DST", "0", off, "IMM"),
    ];
  }),
  ...["64", "32"].flatMap((bits) => {
    const code = `${bits === "64" ? "BPF_ALU64" : "BPF_ALU"} | BPF_MOV`;
    return [
      instruction(`BPF_MOV${bits}_REG(DST, SRC)`, `${code} | BPF_X`, "DST", "SRC", "0", "0"),
      instruction(`BPF_MOVSX${bits}_REG(DST, SRC, OFF)`, `${code} | BPF_X`, "DST", "SRC", "OFF", "0"),
      instruction(`BPF_MOV${bits}_IMM(DST, IMM)`, `${code} | BPF_K`, "DST", "0", "0", "IMM"),
    ];
  }),
  instruction("BPF_LDX_MEM(SIZE, DST, SRC, OFF)", "BPF_LDX | BPF_SIZE(SIZE) | BPF_MEM", "DST", "SRC", "OFF", "0"),
  instruction("BPF_STX_MEM(SIZE, DST, SRC, OFF)", "BPF_STX | BPF_SIZE(SIZE) | BPF_MEM", "DST", "SRC", "OFF", "0"),
  instruction("BPF_ST_MEM(SIZE, DST, OFF, IMM)", "BPF_ST | BPF_SIZE(SIZE) | BPF_MEM", "DST", "0", "OFF", "IMM"),
  instruction(
    "BPF_ATOMIC_OP(SIZE, OP, DST, SRC, OFF)",
    "BPF_STX | BPF_SIZE(SIZE) | BPF_ATOMIC",
    "DST",
    "SRC",
    "OFF",
    "OP",
  ),
  instruction("BPF_LD_ABS(SIZE, IMM)", "BPF_LD | BPF_SIZE(SIZE) | BPF_ABS", "0", "0", "0", "IMM"),
  instruction("BPF_LD_IND(SIZE, SRC, IMM)", "BPF_LD | BPF_SIZE(SIZE) | BPF_IND", "0", "SRC", "0", "IMM"),
  instruction("BPF_RAW_INSN(CODE, DST, SRC, OFF, IMM)", "CODE", "DST", "SRC", "OFF", "IMM"),
  instruction("BPF_JMP_A(OFF)", "BPF_JMP | BPF_JA", "0", "0", "OFF", "0"),
  instruction("BPF_EXIT_INSN()", "BPF_JMP | BPF_EXIT", "0", "0", "0", "0"),
  "BPF_LD_IMM64_RAW(DST, SRC, IMM) BPF_RAW_INSN(BPF_LD | BPF_DW | BPF_IMM, DST, SRC, 0, (__u32)(IMM)), BPF_RAW_INSN(0, 0, 0, 0, (__u64)(IMM) >> 32)",
  "BPF_LD_IMM64(DST, IMM) BPF_LD_IMM64_RAW(DST, 0, IMM)",
  "BPF_LD_MAP_FD(DST, FD) BPF_LD_IMM64_RAW(DST, BPF_PSEUDO_MAP_FD, FD)",
  "BPF_LD_MAP_VALUE(DST, FD, OFF) BPF_RAW_INSN(BPF_LD | BPF_DW | BPF_IMM, DST, BPF_PSEUDO_MAP_VALUE, 0, FD), BPF_RAW_INSN(0, 0, 0, 0, OFF)",
];

/** Macros that take arguments and are defined when a program first uses one that it has not declared: no name of a program's own is touched. */
export const macroGroups: readonly { readonly title: string; readonly definitions: readonly Definition[] }[] = [
  { title: "UAPI", definitions: uapi },
  { title: "arithmetic", definitions: arithmetic },
  { title: "structs", definitions: structs },
  { title: "networking", definitions: networking },
  { title: "instructions", definitions: instructions },
];

let byName: ReadonlyMap<string, Definition> | undefined;

/** The definition of a macro of kernel headers, as it stands behind `#define`. */
export function kernelMacro(name: string): Definition | undefined {
  byName ??= new Map(
    [...shared, ...macroGroups.flatMap(({ definitions }) => definitions)].map((definition) => [
      /^\w+/.exec(definition)![0],
      definition,
    ]),
  );
  return byName.get(name);
}

function text(definitions: readonly Definition[]): string {
  return `#pragma once\n${definitions.map(unlessDefined).join("\n")}\n`;
}

/** The header that all of these headers include. */
export function sharedMacrosHeader(): string {
  return text(shared);
}

/** The header that the kernel's own headers include besides. */
export function kernelMacrosHeader(): string {
  return text(kernels);
}
