// BCC's hello world: prints a line whenever a process is made. Run it as root: node examples/hello.mjs
import { BPF } from "skep/bcc";

const b = new BPF({
  text: `
int kprobe__sys_clone(void *ctx) {
  bpf_trace_printk("Hello, World!\\n");
  return 0;
}
`,
});
await b.tracePrint("{0} {1}: {5}");
