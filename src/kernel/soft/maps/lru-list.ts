/**
 * Which element of an LRU map is given up for a new one: the kernel's approximation (kernel/bpf/bpf_lru_list.c). Each CPU takes free elements
 * in batches into a list of its own and keeps what it has added in another; from there they go to the inactive or active list that all share,
 * by whether they were used meanwhile.
 */

/** Where an element is. */
type Place = "active" | "inactive" | "free" | "local-free" | "pending";

/** An element on the lists, or the head of one. */
export class LruNode {
  /** Offset in the map's memory, 0 until the element is first used. */
  element = 0;
  place: Place = "free";
  /** It was looked up since it came to its list. */
  used = false;
  cpu = 0;
  previous: LruNode = this;
  next: LruNode = this;
}

class List {
  readonly head: LruNode = new LruNode();
  count = 0;

  get isEmpty(): boolean {
    return this.head.next === this.head;
  }

  get first(): LruNode | undefined {
    return this.isEmpty ? undefined : this.head.next;
  }

  /** Puts a node first, wherever it was. */
  add(node: LruNode): void {
    unlink(node);
    node.next = this.head.next;
    node.previous = this.head;
    this.head.next.previous = node;
    this.head.next = node;
  }

  /** From the last to the first; the one in hand may be moved. */
  *reversed(): Generator<LruNode> {
    for (let node = this.head.previous; node !== this.head;) {
      const { previous } = node;
      yield node;
      node = previous;
    }
  }
}

function unlink(node: LruNode): void {
  node.previous.next = node.next;
  node.next.previous = node.previous;
  node.previous = node.next = node;
}

/** What a CPU has of its own. */
interface Local {
  readonly free: List;
  readonly pending: List;
  nextSteal: number;
}

/** Most elements of a batch, and nodes that are looked at in one go (LOCAL_FREE_TARGET and LOCAL_NR_SCANS of the kernel). */
const BATCH = 128;

/** The lists of one map. */
export class LruLists {
  private readonly lists = { active: new List(), inactive: new List(), free: new List() };
  private readonly locals: readonly Local[];
  /** Elements of a batch: fewer for small maps, so that one CPU does not take them all (Linux 6.17). */
  private readonly target: number;
  private rotation: LruNode;
  /** Takes an element out of the table; false when it is not in it. */
  private readonly evict: (node: LruNode) => boolean;

  constructor(elements: number, cpus: number, evict: (node: LruNode) => boolean) {
    this.evict = evict;
    this.locals = Array.from({ length: cpus }, (_, cpu) => ({ free: new List(), pending: new List(), nextSteal: cpu }));
    this.target = Math.max(1, Math.min(Math.floor(Math.floor(elements / cpus) / 2), BATCH));
    this.rotation = this.lists.inactive.head;
    for (let i = 0; i < elements; i++) this.lists.free.add(new LruNode());
  }

  private move(node: LruNode, to: "active" | "inactive" | "free"): void {
    if (node.place !== to) {
      this.uncount(node);
      this.lists[to].count++;
      node.place = to;
    }
    node.used = false;
    if (node === this.rotation) this.rotation = node.previous;
    this.lists[to].add(node);
  }

  private uncount(node: LruNode): void {
    if (node.place === "active" || node.place === "inactive" || node.place === "free") this.lists[node.place].count--;
  }

  private moveToLocal(node: LruNode, local: Local): void {
    if (node === this.rotation) this.rotation = node.previous;
    this.uncount(node);
    node.place = "local-free";
    local.free.add(node);
  }

  private flush(local: Local): void {
    for (const node of local.pending.reversed()) {
      const to = node.used ? "active" : "inactive";
      this.lists[to].count++;
      node.place = to;
      node.used = false;
      this.lists[to].add(node);
    }
  }

  private rotateActive(): void {
    const { first } = this.lists.active;
    let seen = 0;
    for (const node of this.lists.active.reversed()) {
      this.move(node, node.used ? "active" : "inactive");
      if (++seen === BATCH || node === first) break;
    }
  }

  private rotateInactive(): void {
    const { head } = this.lists.inactive;
    if (this.lists.inactive.isEmpty) return;
    let last = this.rotation.next;
    if (last === head) last = last.next;
    let current = this.rotation;
    let next = current;
    for (let seen = 0; seen < BATCH;) {
      if (current === head) {
        current = current.previous;
        continue;
      }
      next = current.previous;
      if (current.used) this.move(current, "active");
      if (current === last) break;
      current = next;
      seen++;
    }
    this.rotation = next;
  }

  private shrink(wanted: number, local: Local): void {
    let freed = 0;
    let seen = 0;
    for (const node of this.lists.inactive.reversed()) {
      if (node.used) this.move(node, "active");
      else if (this.evict(node)) {
        this.moveToLocal(node, local);
        if (++freed === wanted) break;
      }
      if (++seen === BATCH) break;
    }
    if (freed > 0) return;
    // None that was not used: one of the others.
    const list = this.lists.inactive.isEmpty ? this.lists.active : this.lists.inactive;
    for (const node of list.reversed()) {
      if (!this.evict(node)) continue;
      this.moveToLocal(node, local);
      return;
    }
  }

  private refill(local: Local): void {
    this.flush(local);
    if (this.lists.inactive.count < this.lists.active.count) this.rotateActive();
    this.rotateInactive();
    let taken = 0;
    for (let { first } = this.lists.free; first !== undefined && taken < this.target; first = this.lists.free.first) {
      this.moveToLocal(first, local);
      taken++;
    }
    if (taken < this.target) this.shrink(this.target - taken, local);
  }

  private popFree(local: Local): LruNode | undefined {
    const { first } = local.free;
    if (first !== undefined) unlink(first);
    return first;
  }

  private popPending(local: Local): LruNode | undefined {
    for (const force of [false, true]) {
      for (const node of local.pending.reversed()) {
        if ((!node.used || force) && this.evict(node)) {
          unlink(node);
          return node;
        }
      }
    }
    return undefined;
  }

  /** An element for a new entry, that of another one when none is free; undefined when every element is being added elsewhere. */
  take(cpu: number): LruNode | undefined {
    const local = this.locals[cpu]!;
    let node = this.popFree(local);
    if (node === undefined) {
      this.refill(local);
      node = this.popFree(local);
    }
    if (node === undefined) {
      const first = local.nextSteal;
      let from = first;
      do {
        node = this.popFree(this.locals[from]!) ?? this.popPending(this.locals[from]!);
        from = (from + 1) % this.locals.length;
      } while (node === undefined && from !== first);
      local.nextSteal = from;
    }
    if (node === undefined) return undefined;
    node.cpu = cpu;
    node.place = "pending";
    node.used = false;
    local.pending.add(node);
    return node;
  }

  /** An element is not in the table any more, or was not put into it. */
  give(node: LruNode): void {
    if (node.place === "pending") {
      node.place = "local-free";
      node.used = false;
      this.locals[node.cpu]!.free.add(node);
    } else this.move(node, "free");
  }
}
