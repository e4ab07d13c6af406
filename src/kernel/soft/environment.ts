/** What programs can ask of the machine they run on: time, CPU, the current task, chance. */

/** `TASK_COMM_LEN`. */
const COMM_BYTES = 16;

/** A task, as helpers tell of it. */
export interface SoftTask {
  readonly pid: number;
  /** Of the process: what user space calls the PID. */
  readonly tgid: number;
  readonly uid: number;
  readonly gid: number;
  /** At most 15 characters. */
  readonly comm: string;
  /** `bpf_get_current_cgroup_id`. */
  readonly cgroupId?: bigint;
}

/** The machine at this moment. Whoever fires hooks sets it before each. */
export class Environment {
  /** Nanoseconds since boot; `undefined` lets the host's clock run. */
  now: bigint | undefined;
  cpu = 0;
  /** Of the attachment whose program runs. */
  cookie = 0n;
  pid = 1;
  tgid = 1;
  uid = 0;
  gid = 0;
  cgroupId = 1n;
  /** The current task's name, ended by NUL. */
  readonly comm: Uint8Array = new Uint8Array(COMM_BYTES);
  private seed: number;
  private readonly begin: number;

  /** `seed`: of random numbers; the same seed gives the same numbers. */
  constructor(options: { readonly seed?: number; readonly now?: bigint } = {}) {
    this.seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
    this.now = options.now;
    this.begin = performance.now();
    this.task = { pid: 1, tgid: 1, uid: 0, gid: 0, comm: "init" };
  }

  /** The current task. */
  get task(): SoftTask {
    const { pid, tgid, uid, gid, cgroupId, comm } = this;
    return { pid, tgid, uid, gid, cgroupId, comm: new TextDecoder().decode(comm.subarray(0, comm.indexOf(0))) };
  }

  set task(task: SoftTask) {
    this.pid = task.pid;
    this.tgid = task.tgid;
    this.uid = task.uid;
    this.gid = task.gid;
    this.cgroupId = task.cgroupId ?? 1n;
    this.comm.fill(0);
    this.comm.set(new TextEncoder().encode(task.comm).subarray(0, COMM_BYTES - 1));
  }

  /** `bpf_ktime_get_ns`. */
  ktime(): bigint {
    return this.now ?? BigInt(Math.round((performance.now() - this.begin) * 1e6)) + 1_000_000_000n;
  }

  /** Wall clock: nanoseconds since 1970. */
  wallClock(): bigint {
    return this.now ?? BigInt(Date.now()) * 1_000_000n;
  }

  /** 32 bits of chance. */
  random(): number {
    this.seed = (this.seed + 0x9e37_79b9) | 0;
    let t = Math.imul(this.seed ^ (this.seed >>> 16), 0x21f0_aaad);
    t = Math.imul(t ^ (t >>> 15), 0x735a_2d97);
    return (t ^ (t >>> 15)) >>> 0;
  }
}
