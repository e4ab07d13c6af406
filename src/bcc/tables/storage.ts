/** Storage on tasks, inodes and sockets. */
import type { Given, LocalStorageMap, StorageKey } from "../../runtime/index.ts";
import { Table } from "./table.ts";

/** Values that hang on tasks (by pid), inodes (by path) or sockets (by descriptor). What has one cannot be listed. */
export class StorageTable<V> extends Table<LocalStorageMap<V>> {
  /** The value on a target; undefined when it has none. */
  get(key: StorageKey): V | undefined {
    return this.map.get(key);
  }

  /** Sets the value on a target. */
  set(key: StorageKey, value: Given<V>): void {
    this.map.set(key, value);
  }

  /** Takes the value off a target; false when it had none. */
  delete(key: StorageKey): boolean {
    return this.map.delete(key);
  }
}
