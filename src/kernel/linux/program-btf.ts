/** BTF of loaded programs, as the kernel holds it. */
import { Btf } from "../../btf/index.ts";
import { BpfCmd } from "../../isa/index.ts";
import { bpfOrThrow, describeBtf, describeProg, openById } from "./bpf.ts";
import { BtfInfo, InfoAttr } from "./bpf-attr.ts";
import { callAttributes } from "./scratch.ts";

/** The types of a loaded program; undefined when it was loaded without. Needs CAP_SYS_ADMIN. */
export function programBtf(progFd: number): Btf | undefined {
  const { btfId } = describeProg(progFd);
  if (btfId === 0) return undefined;
  using fd = openById("btf", btfId);
  return fd === undefined ? undefined : Btf.parse(btfBytes(fd.value));
}

/** The bytes of a BTF object. */
export function btfBytes(fd: number): Uint8Array {
  const { size } = describeBtf(fd);
  const attributes = callAttributes(InfoAttr.SIZE).u32(InfoAttr.BPF_FD, fd).u32(InfoAttr.INFO_LEN, BtfInfo.SIZE);
  const info = attributes.output(InfoAttr.INFO, BtfInfo.SIZE);
  // A structure inside the structure: its buffer hangs off the info, not off the attributes.
  const data = attributes.output(InfoAttr.INFO, size);
  attributes.u64(InfoAttr.INFO, info.address);
  info.view.setBigUint64(BtfInfo.BTF, BigInt(data.address), true);
  info.view.setUint32(BtfInfo.BTF_SIZE, size, true);
  bpfOrThrow(BpfCmd.OBJ_GET_INFO_BY_FD, attributes, "btf");
  return data.bytes.slice();
}
