/** Local storage: values that hang on tasks, files, sockets and cgroups, and go with them. */
import type { KernelMap } from "../../kernel/index.ts";
import type { Codec, Given } from "../values/codec.ts";
import { type Descriptor, MapHandle, descriptorOf } from "./base.ts";
import { type StorageTarget, openDescriptor } from "./descriptors.ts";
import { type AccessOptions, type SetOptions, TypedMap, type UpdateMode } from "./typed-map.ts";

/** What {@link LocalStorageMap} takes for a target: a pid (of a task's storage), a path (of a file's or cgroup's), or a descriptor. */
export type StorageKey = number | string | { readonly descriptor: Descriptor };

/**
 * Storage on tasks (by the pid of their process; Linux 5.11), inodes (by path; 5.10), sockets (by the number of a descriptor of this process; 5.2)
 * or cgroups (by path; 6.2). `{ descriptor }` is a pidfd, a file or a socket that is open. What has a value cannot be listed.
 */
export class LocalStorageMap<V> extends MapHandle {
  readonly target: StorageTarget;
  private readonly byDescriptor: TypedMap<number, V>;

  constructor(map: KernelMap, target: StorageTarget, value: Codec<V>) {
    super(map);
    this.target = target;
    this.byDescriptor = new TypedMap(
      map,
      {
        size: 4,
        read: (view, offset) => view.getInt32(offset, true),
        write: (view, offset, fd) => view.setInt32(offset, fd, true),
      },
      value,
    );
  }

  private on<R>(key: StorageKey, use: (fd: number) => R): R {
    if (typeof key === "object") return use(descriptorOf(key.descriptor));
    if (typeof key === "number" && this.target === "socket") return use(descriptorOf(key));
    using opened = openDescriptor(this.target, key);
    return use(opened.value);
  }

  /** The value on a target; undefined when it has none. Throws SyscallError (ESRCH, ENOENT) when there is no such target. */
  get(key: StorageKey, options: AccessOptions = {}): V | undefined {
    return this.on(key, (fd) => this.byDescriptor.get(fd, options));
  }

  /** Whether a target has a value. */
  has(key: StorageKey): boolean {
    return this.on(key, (fd) => this.byDescriptor.has(fd));
  }

  /** Sets the value on a target; false when the mode forbids it. */
  set(key: StorageKey, value: Given<V>, options: SetOptions | UpdateMode = "any"): boolean {
    return this.on(key, (fd) => this.byDescriptor.set(fd, value, options));
  }

  /** Takes the value off a target; false when it had none. */
  delete(key: StorageKey): boolean {
    return this.on(key, (fd) => this.byDescriptor.delete(fd));
  }
}
