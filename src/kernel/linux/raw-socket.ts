/** Sockets that see the packets of a network device: what socket filters hang on. */
import { syscallFailure } from "./diagnose.ts";
import { OwnedFd } from "./fd.ts";
import { networkInterface } from "./network.ts";
import { callAttributes } from "./scratch.ts";
import { syscall3 } from "./sys.ts";

const AF_PACKET = 17;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0x800 | 0x80000;
/** ETH_P_ALL in network order. */
const ALL_PROTOCOLS = 0x0300;

/** `struct sockaddr_ll` (linux/if_packet.h). */
const Address = { FAMILY: 0, PROTOCOL: 2, IFINDEX: 4, BYTES: 20 } as const;

/**
 * Opens a raw packet socket on a device by name; reading it never blocks. The caller closes it. Throws UnsupportedError with near names
 * when there is no such device, SyscallError else (EPERM without CAP_NET_RAW).
 */
export function openRawSocket(device: string): OwnedFd {
  const what = `raw socket on ${device}`;
  const { index } = networkInterface(what, device);
  const fd = syscall3("socket", AF_PACKET, SOCK_RAW_NONBLOCK_CLOEXEC, ALL_PROTOCOLS);
  if (fd < 0) throw syscallFailure({ call: "socket(AF_PACKET, SOCK_RAW)", operation: "other", errno: -fd });
  const socket = new OwnedFd(fd, what);
  const address = callAttributes(Address.BYTES)
    .u32(Address.FAMILY, AF_PACKET | (ALL_PROTOCOLS << 16))
    .u32(Address.IFINDEX, index);
  const result = syscall3("bind", fd, address.address, Address.BYTES);
  if (result >= 0) return socket;
  socket.close();
  throw syscallFailure({ call: `bind(AF_PACKET, ${device})`, operation: "other", errno: -result });
}
