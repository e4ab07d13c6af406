/** The commands for object files, in the table of {@link COMMANDS}. */
import { C_OPTIONS } from "./c-options.ts";
import { EVENTS, HELP, OUTPUT } from "./common-options.ts";
import type { Command } from "./options.ts";

/** `skep run`, `skep disasm`, `skep gen`. */
export const OBJECT_COMMANDS: readonly Command[] = [
  {
    name: "run",
    summary: "run a C source or object file: load, attach, and print what its programs say",
    usage: "[OPTIONS] FILE...",
    description:
      "Compiles a C source in libbpf's or BCC's dialect (no clang, no headers), or takes an object file (prog.bpf.o), loads all of it\n" +
      "into the running kernel, attaches what SEC() or names (kprobe__f, TRACEPOINT_PROBE) say where, and prints bpf_printk() output and records of ring buffers and perf buffers as they come, until Ctrl-C; then the maps. Nothing\n" +
      "stays attached. Several files are linked to one object. What records are tells the type of the map's values, or the C lines\n" +
      "that write them with the object's debug information (clang -g), or --event.\n" +
      "Programs that this kernel does not take are left out, and so is the second of two for one place (fentry/f and kprobe/f).",
    options: [
      {
        long: "set",
        short: "s",
        value: "NAME=VALUE",
        repeats: true,
        help: "first value of a global variable: a number, true, false, a text, or JSON (may be given several times)",
      },
      EVENTS,
      {
        long: "only",
        value: "PROGRAM",
        repeats: true,
        help: "load and attach only this program (may be given several times)",
      },
      {
        long: "max-entries",
        value: "MAP=N",
        repeats: true,
        help: "room of a map, for ring buffers in bytes (may be given several times)",
      },
      {
        long: "attach",
        value: "PROGRAM=WHERE",
        repeats: true,
        help: "attach this program there: a name as in SEC(), for XDP eth0, for tc eth0:ingress, for cgroups a directory (may be given several times)",
      },
      {
        long: "strict",
        help: "everything or nothing: by default what this kernel does not take is left out, and said",
      },
      {
        long: "pcap",
        value: "FILE",
        completes: "file",
        help: "run a program for packets (XDP, tc, socket) on a capture (pcap, pcapng) in the software kernel: no privileges",
      },
      {
        long: "write",
        short: "w",
        value: "FILE",
        completes: "file",
        help: "with --pcap: write the packets that pass, as they are then, to a pcap file",
      },
      { long: "no-attach", help: "load and do not attach" },
      { long: "dry-run", help: "load and attach everything, then end" },
      { long: "duration", short: "d", value: "SECONDS", help: "end after this time" },
      {
        long: "pid",
        short: "p",
        value: "PID",
        completes: "pid",
        help: "attach probes of user space and perf events to this process only",
      },
      { long: "json", help: "a JSON object a line" },
      { long: "no-warnings", help: "no warnings about C sources" },
      { long: "no-maps", help: "do not print the maps at the end" },
      {
        long: "pin",
        value: "DIR",
        completes: "directory",
        help: "pin maps, programs and links below this directory of a bpffs: they stay",
      },
      { long: "btf", value: "FILE", completes: "file", help: "resolve CO-RE relocations against these kernel types" },
      {
        long: "kconfig",
        value: "FILE",
        completes: "file",
        help: "a kernel configuration that goes before the kernel's own",
      },
      OUTPUT,
      ...C_OPTIONS,
      { long: "quiet", short: "q", help: "only what programs say" },
      { long: "verbose", short: "v", help: "say what is loaded, with the verifier's statistics" },
      HELP,
    ],
    operands: "file",
    examples: [
      ["skep run hello.c", "a C source, compiled as it runs"],
      ["skep run opensnoop.bpf.o", "everything that is in an object file"],
      ["skep run runqslower.bpf.o --set min_us=1000 --duration 10", "with a global variable set, for ten seconds"],
      ["skep run filter.bpf.o --attach drop_icmp=eth0", "an XDP program on a device"],
      ["skep run execsnoop.bpf.o --json | jq .data.comm", "events for other programs"],
      ["skep run prog.bpf.o --event 'events=struct event'", "when nothing in the object says what records are"],
    ],
  },
  {
    name: "disasm",
    summary: "show the instructions of an object file or C source with the C lines between them",
    usage: "[OPTIONS] FILE...",
    description:
      "Shows the programs of an object file or C source as instructions, with their C lines, and with the names of maps, variables, functions and\n" +
      "CO-RE relocations. Nothing is loaded.",
    options: [
      {
        long: "program",
        short: "p",
        value: "NAME",
        repeats: true,
        help: "only this program (may be given several times)",
      },
      { long: "kernel", help: "in the kernel's text, as bpftool and verifier logs have it (default)" },
      { long: "llvm", help: "in llvm-objdump's text" },
      { long: "json", help: "as JSON" },
      ...C_OPTIONS,
      HELP,
    ],
    operands: "file",
    examples: [
      ["skep disasm opensnoop.bpf.o", "all programs"],
      ["skep disasm opensnoop.bpf.o --program handle_exit --llvm", "one, as llvm-objdump shows it"],
    ],
  },
  {
    name: "gen",
    summary: "write TypeScript types of an object, vmlinux.h, or small BTF",
    usage: "types | vmlinux | min-btf [OPTIONS] ...",
    description: "Writes files that are made from types.",
    options: [HELP],
    examples: [
      ["skep gen types opensnoop.bpf.o -o opensnoop.ts", "TypeScript for an object"],
      ["skep gen vmlinux -o vmlinux.h", "the running kernel's types for C programs"],
    ],
    subcommands: [
      {
        name: "types",
        summary: "TypeScript types of an object's programs, maps, globals and events",
        usage: "[OPTIONS] FILE",
        description:
          "Writes a TypeScript module with types for the programs, maps, global variables and event structs of an object file or C source, and an\n" +
          "open() function that has them. A name that ends in .d.ts gets types only.",
        options: [
          OUTPUT,
          { long: "embed", help: "put the object file into the module" },
          { long: "declarations", help: "types only, as for a .d.ts file" },
          EVENTS,
          ...C_OPTIONS,
          HELP,
        ],
        operands: "file",
        examples: [
          ["skep gen types opensnoop.bpf.o -o opensnoop.ts", "a module beside the object"],
          ["skep gen types opensnoop.bpf.o --embed -o opensnoop.ts", "a module that needs no other file"],
        ],
      },
      {
        name: "vmlinux",
        summary: "a kernel's types as a C header",
        usage: "[OPTIONS]",
        description: "Writes vmlinux.h: the types of the running kernel, or of a BTF or ELF file, as C.",
        options: [
          OUTPUT,
          { long: "btf", value: "FILE", completes: "file", help: "these types instead of the running kernel's" },
          { long: "no-kfuncs", help: "without prototypes of kernel functions" },
          HELP,
        ],
        examples: [["skep gen vmlinux -o vmlinux.h", "the running kernel's"]],
      },
      {
        name: "min-btf",
        summary: "the part of a kernel's types that objects need for CO-RE",
        usage: "--btf KERNEL [OPTIONS] FILE...",
        description:
          "Writes BTF with those types and members of a kernel that the relocations of the objects touch: what to ship for kernels without\n" +
          "BTF of their own.",
        options: [
          { ...OUTPUT, help: "write to this file" },
          {
            long: "btf",
            value: "KERNEL",
            completes: "file",
            help: "the kernel's types: a BTF or ELF file (default: the running kernel's)",
          },
          HELP,
        ],
        operands: "file",
        examples: [["skep gen min-btf --btf 5.4.btf prog.bpf.o -o prog-5.4.btf", "for one object and one kernel"]],
      },
    ],
  },
];
