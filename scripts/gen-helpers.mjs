/**
 * Writes src/isa/helper-table.ts and src/isa/uapi/first-version.ts from a Linux source tree and the list of first kernel
 * versions that the eBPF documentation project (isovalent/ebpf-docs) derives from Linux's history.
 *
 *     node scripts/gen-helpers.mjs <linux source tree> <ebpf-docs' data/feature-versions.yaml>
 *
 * Read are facts only: C prototypes from the comment block of include/uapi/linux/bpf.h, argument and return types from the
 * kernel's `struct bpf_func_proto` definitions, and version numbers. The set of helpers is closed
 * since Linux 6.2, so that any later tree gives the same table up to flags of arguments.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [tree, versionsFile] = process.argv.slice(2);
if (!tree || !versionsFile) {
  console.error("usage: node scripts/gen-helpers.mjs <linux source tree> <feature-versions.yaml>");
  process.exit(2);
}

/** Where a helper has several definitions (one a program type) and none bears its own name. */
const PROTO_OF = {
  probe_read: "bpf_probe_read_compat_proto",
  probe_read_str: "bpf_probe_read_compat_str_proto",
  setsockopt: "bpf_sk_setsockopt_proto",
  getsockopt: "bpf_sk_getsockopt_proto",
  redirect_map: "bpf_xdp_redirect_map_proto",
  fib_lookup: "bpf_skb_fib_lookup_proto",
  lwt_push_encap: "bpf_lwt_in_push_encap_proto",
  rc_repeat: "rc_repeat_proto",
  rc_keydown: "rc_keydown_proto",
  rc_pointer_rel: "rc_pointer_rel_proto",
  sk_select_reuseport: "sk_select_reuseport_proto",
  get_netns_cookie: "bpf_get_netns_cookie_sock_proto",
  load_hdr_opt: "bpf_sock_ops_load_hdr_opt_proto",
  store_hdr_opt: "bpf_sock_ops_store_hdr_opt_proto",
  reserve_hdr_opt: "bpf_sock_ops_reserve_hdr_opt_proto",
  check_mtu: "bpf_skb_check_mtu_proto",
  get_func_ip: "bpf_get_func_ip_proto_kprobe",
};

/**
 * Where the list follows the first mention of a name, not the number: `enum bpf_func_id` got its first members in 3.19, and
 * get_prandom_u32 is as old as its neighbours.
 */
const VERSION_OF = { map_lookup_elem: "3.19", map_update_elem: "3.19", get_prandom_u32: "4.1" };

/** Sizes of fixed-size memory, in bytes. */
const SIZE_OF = { s64: 8, u64: 8, u32: 4, "struct iphdr": 20, "struct ipv6hdr": 40, "struct tcphdr": 20 };

/** Names that the kernel's types stand for, spelled out. */
const ARG_ALIASES = {
  ARG_PTR_TO_UNINIT_MEM: "ARG_PTR_TO_MEM | MEM_UNINIT | MEM_WRITE",
  ARG_PTR_TO_FIXED_SIZE_MEM: "ARG_PTR_TO_MEM",
  ARG_SCALAR: "ARG_ANYTHING",
};

const FLAGS = {
  PTR_MAYBE_NULL: "?",
  MEM_RDONLY: ":rdonly",
  MEM_UNINIT: ":uninit",
  MEM_WRITE: ":write",
  MEM_ALIGNED: ":aligned",
  OBJ_RELEASE: ":release",
  DYNPTR_TYPE_LOCAL: ":local",
  DYNPTR_TYPE_RINGBUF: ":ringbuf",
  MEM_RINGBUF: ":ringbuf",
  PTR_TRUSTED: ":trusted",
};

function* sources(directory) {
  for (const entry of readdirSync(directory)) {
    const path = join(directory, entry);
    if (statSync(path).isDirectory()) yield* sources(path);
    else if (entry.endsWith(".c")) yield path;
  }
}

const protos = new Map();
for (const folder of ["kernel/bpf", "kernel/trace", "net", "drivers/media/rc", "security"]) {
  for (const path of sources(join(tree, folder))) {
    const text = readFileSync(path, "utf8");
    for (const [, name, body] of text.matchAll(/const struct bpf_func_proto (\w+) = \{([^]*?)\n\};/g)) {
      const fields = new Map();
      for (const [, key, value] of body.matchAll(/\.(\w+)\s*=\s*([^,\n]+)/g)) fields.set(key, value.trim());
      if (!protos.has(name)) protos.set(name, fields);
    }
  }
}

const header = readFileSync(join(tree, "include/uapi/linux/bpf.h"), "utf8");
const signatures = new Map();
for (const [, text, name] of header.matchAll(/^ \* (\w[^\n]*?\bbpf_(\w+)\([^\n]*\))\n \*\s+Description/gm)) {
  signatures.set(name, text.replace(/\s+/g, " "));
}
const versions = new Map();
const versionGroups = new Map();
let group;
let feature;
for (const line of readFileSync(versionsFile, "utf8").split("\n")) {
  const [, indent, key, value] = line.match(/^( *)(?:- )?(name|version): "?v?([\w.]+)"?$/) ?? [];
  if (key === "name" && indent === "") versionGroups.set(value, (group = new Map()));
  else if (key === "name") feature = value;
  else if (key === "version") {
    group.set(feature, value);
    if (feature.startsWith("bpf_") && !versions.has(feature.slice(4))) versions.set(feature.slice(4), value);
  }
}

function kindText(text, size) {
  const expanded = ARG_ALIASES[text.split(" | ")[0]] ?? text.split(" | ")[0];
  const rest = text.split(" | ").slice(1);
  let base = expanded.split(" | ")[0];
  const flags = new Set([...expanded.split(" | ").slice(1), ...rest]);
  if (base.endsWith("_OR_NULL")) {
    base = base.slice(0, -"_OR_NULL".length);
    flags.add("PTR_MAYBE_NULL");
  }
  if (base === "RET_PTR_TO_RINGBUF_MEM") [base] = ["RET_PTR_TO_MEM", flags.add("MEM_RINGBUF")];
  if (base === "RET_PTR_TO_DYNPTR_MEM") base = "RET_PTR_TO_MEM";
  if (base === "RET_PTR_TO_BTF_ID_TRUSTED") [base] = ["RET_PTR_TO_BTF_ID", flags.add("PTR_TRUSTED")];
  let out = base.replace(/^(ARG|RET)_(PTR_TO_)?/, "").toLowerCase();
  for (const flag of flags) {
    if (!(flag in FLAGS)) throw new Error(`unknown flag ${flag}`);
  }
  for (const [flag, mark] of Object.entries(FLAGS)) if (flags.has(flag)) out += mark;
  if (size !== undefined) out += `:${size}`;
  return out;
}

const rows = [];
const mapper = header.slice(header.indexOf("___BPF_FUNC_MAPPER(FN"));
for (const [, name, idText] of mapper.matchAll(/\bFN\((\w+), (\d+), ##ctx\)/g)) {
  const id = Number(idText);
  if (id === 0) continue;
  const proto = protos.get(PROTO_OF[name] ?? `bpf_${name}_proto`);
  const signature = signatures.get(name);
  const since = VERSION_OF[name] ?? versions.get(name);
  if (!proto || !signature || !since) {
    throw new Error(`${name}: ${!proto ? "no prototype" : !signature ? "no signature" : "no version"}`);
  }
  const args = [];
  for (let i = 1; i <= 5; i++) {
    const type = proto.get(`arg${i}_type`);
    if (!type || type === "ARG_DONTCARE") break;
    const sizeText = proto.get(`arg${i}_size`)?.match(/sizeof\((.*)\)/)?.[1];
    args.push(kindText(type, sizeText === undefined ? undefined : SIZE_OF[sizeText]));
  }
  const flags = [
    proto.get("gpl_only") === "true" ? "gpl" : "",
    proto.get("might_sleep") === "true" ? "sleeps" : "",
    proto.get("allow_fastcall") === "true" ? "fastcall" : "",
  ].filter(Boolean);
  rows.push(
    `${id} ${since} ${flags.join(",") || "-"} | ${signature} | ${kindText(proto.get("ret_type"))} | ${args.join(" ")}`.trimEnd(),
  );
}

writeFileSync(
  new URL("../src/isa/helper-table.ts", import.meta.url),
  `/**
 * Generated by scripts/gen-helpers.mjs from Linux's headers and prototypes; do not edit.
 * One line a helper: id, first kernel version, flags | C prototype | return type | argument types, as helpers.ts reads them.
 */
export const HELPER_TABLE: string = \`
${rows.join("\n")}
\`;
`,
);

/** Members that the list lacks. */
const ADDED = {
  COMMAND_SINCE: { BPF_PROG_RUN: "5.14", BPF_PROG_STREAM_READ_BY_FD: "6.17" },
  ATTACH_TYPE_SINCE: {
    BPF_STRUCT_OPS: "6.4",
    BPF_NETFILTER: "6.4",
    BPF_TRACE_UPROBE_MULTI: "6.6",
    BPF_CGROUP_UNIX_CONNECT: "6.7",
    BPF_CGROUP_UNIX_SENDMSG: "6.7",
    BPF_CGROUP_UNIX_RECVMSG: "6.7",
    BPF_CGROUP_UNIX_GETPEERNAME: "6.7",
    BPF_CGROUP_UNIX_GETSOCKNAME: "6.7",
    BPF_TRACE_UPROBE_SESSION: "6.13",
  },
  LINK_TYPE_SINCE: {
    BPF_LINK_TYPE_STRUCT_OPS: "6.4",
    BPF_LINK_TYPE_NETFILTER: "6.4",
    BPF_LINK_TYPE_TCX: "6.6",
    BPF_LINK_TYPE_UPROBE_MULTI: "6.6",
    BPF_LINK_TYPE_NETKIT: "6.7",
    BPF_LINK_TYPE_SOCKMAP: "6.10",
  },
};
/** Members newer than the tables of src/isa/uapi. */
const TOO_NEW = new Set(["BPF_MAP_TYPE_INSN_ARRAY"]);

function versionTable(name, groupName, prefix, what) {
  const entries = [...versionGroups.get(groupName), ...Object.entries(ADDED[name] ?? {})].filter(
    ([key]) => key.startsWith(prefix) && !TOO_NEW.has(key),
  );
  const lines = entries.map(([key, version]) => `  ${key.slice(prefix.length)}: "${version}",`);
  return `/** First kernel version of each ${what}. */\nexport const ${name}: Readonly<Record<string, string>> = {\n${lines.join("\n")}\n};\n`;
}
writeFileSync(
  new URL("../src/isa/uapi/first-version.ts", import.meta.url),
  `/** Generated by scripts/gen-helpers.mjs; do not edit. Keyed by the names of the tables beside this file. */

${[
  versionTable("COMMAND_SINCE", "syscall_commands", "BPF_", "member of `BpfCmd`"),
  versionTable("PROG_TYPE_SINCE", "program_types", "BPF_PROG_TYPE_", "member of `ProgType`"),
  versionTable("ATTACH_TYPE_SINCE", "attach_types", "BPF_", "member of `AttachType`"),
  versionTable("MAP_TYPE_SINCE", "map_types", "BPF_MAP_TYPE_", "member of `MapType`"),
  versionTable("LINK_TYPE_SINCE", "link_type", "BPF_LINK_TYPE_", "member of `LinkType`"),
].join("\n")}`,
);
console.log(`${rows.length} helpers`);
