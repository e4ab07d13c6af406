/** Paths of cgroups by their id, which is the number of their directory's inode. */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { basename } from "node:path";

interface Hierarchy {
  /** `unified`, or for version 1 the name of the mount point. */
  readonly name: string;
  readonly root: string;
}

/** Finds cgroups in the mounted hierarchies. Walks them when an id is new. */
export class CgroupPaths {
  private hierarchies: readonly Hierarchy[] | undefined;
  private readonly paths = new Map<string, Map<bigint, string>>();

  /** `unified:/user.slice,memory:/user.slice`: the hierarchies whose name matches `filter` (`*` is any text), version 2 first. */
  find(id: bigint, filter: string): string {
    const matcher = new RegExp(`^${filter.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`);
    this.hierarchies ??= mountedHierarchies();
    const found: string[] = [];
    for (const hierarchy of this.hierarchies) {
      if (filter !== "" && !matcher.test(hierarchy.name)) continue;
      const path = this.pathIn(hierarchy, id);
      if (path !== undefined) found.push(`${hierarchy.name}:${path}`);
    }
    return found.join(",");
  }

  private pathIn(hierarchy: Hierarchy, id: bigint): string | undefined {
    const known = this.paths.get(hierarchy.root)?.get(id);
    if (known !== undefined && inode(hierarchy.root + known) === id) return known;
    const paths = new Map<bigint, string>();
    const walk = (path: string): void => {
      const number = inode(hierarchy.root + path);
      if (number === undefined) return;
      paths.set(number, path === "" ? "/" : path);
      try {
        for (const entry of readdirSync(hierarchy.root + path, { withFileTypes: true })) {
          if (entry.isDirectory()) walk(`${path}/${entry.name}`);
        }
      } catch {
        // Removed meanwhile.
      }
    };
    walk("");
    this.paths.set(hierarchy.root, paths);
    return paths.get(id);
  }
}

function inode(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}

function mountedHierarchies(): Hierarchy[] {
  const unified: Hierarchy[] = [];
  const old: Hierarchy[] = [];
  let mounts = "";
  try {
    mounts = readFileSync("/proc/self/mounts", "utf8");
  } catch {
    return [];
  }
  for (const line of mounts.split("\n")) {
    const [, place, type] = line.split(" ");
    if (place === undefined) continue;
    const root = place.replaceAll("\\040", " ");
    if (type === "cgroup2") unified.push({ name: "unified", root });
    else if (type === "cgroup") old.push({ name: basename(root), root });
  }
  return [...unified, ...old.toSorted((a, b) => (a.name < b.name ? -1 : 1))];
}
