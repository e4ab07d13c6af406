// Run by attach-cgroup.test.ts: moves into the cgroup that is its argument and does everything that programs of cgroups see.
import { execFileSync } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";

const [, , cgroup = ""] = process.argv;
writeFileSync(`${cgroup}/cgroup.procs`, String(process.pid));

/** A connection over TCP, from `host` to itself. @param {string} host */
async function tcp(host) {
  const server = net.createServer((socket) => socket.end("hello"));
  server.listen(0, host);
  await once(server, "listening");
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  const client = net.connect({ port, host, localAddress: host });
  await once(client, "connect");
  client.setNoDelay(true);
  void client.remoteAddress;
  client.resume();
  await once(client, "close");
  server.close();
  await once(server, "close");
}

/** Datagrams without a connection. @param {"udp4" | "udp6"} type @param {string} host */
async function udp(type, host) {
  const receiver = dgram.createSocket(type);
  receiver.bind(0, host);
  await once(receiver, "listening");
  const sender = dgram.createSocket(type);
  const received = once(receiver, "message");
  sender.send("hello", receiver.address().port, host);
  await received;
  sender.close();
  receiver.close();
}

/** A connection over a socket without a path. */
async function unix() {
  const path = `\0skep-${process.pid}`;
  const server = net.createServer((socket) => socket.end());
  server.listen(path);
  await once(server, "listening");
  const client = net.connect(path);
  client.resume();
  await once(client, "close");
  server.close();
}

/** Datagrams over unix sockets, which Node has not got. */
function unixDatagrams() {
  const script = `
    my ($to, $from) = map { pack_sockaddr_un("\\0skep-$$-$_") } 0, 1;
    socket(A, PF_UNIX, SOCK_DGRAM, 0) and bind(A, $to) or die;
    socket(B, PF_UNIX, SOCK_DGRAM, 0) and bind(B, $from) or die;
    send(B, "hello", 0, $to) and defined(recv(A, my $text, 9, 0)) or die;
    connect(B, $to) and getpeername(B) and getsockname(B) or die;`;
  execFileSync("perl", ["-MSocket", "-e", script]);
}

unixDatagrams();
await tcp("127.0.0.1");
await tcp("::1");
await udp("udp4", "127.0.0.1");
await udp("udp6", "::1");
await unix();
readFileSync("/proc/sys/net/ipv4/ip_forward");
closeSync(openSync("/dev/null", "r"));
console.log("done");
