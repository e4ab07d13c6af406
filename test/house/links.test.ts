import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { root } from "./sources.ts";

/** Anchors as GitHub makes them of headings. */
function anchors(markdown: string): Set<string> {
  const headings = markdown.replace(/^```[^]*?^```/gm, "").match(/^#{1,6} .*$/gm) ?? [];
  return new Set(
    headings.map((heading) =>
      heading
        .replace(/^#+ /, "")
        .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}

it("links of the documents lead somewhere", () => {
  const listed = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
    cwd: root,
    encoding: "utf8",
  });
  const broken = listed.stdout
    .split("\n")
    .filter((path) => path && existsSync(join(root, path)))
    .flatMap((path) => {
      const text = readFileSync(join(root, path), "utf8");
      const prose = text.replace(/^```[^]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
      return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => {
        if (/^[a-z]+:/.test(target)) return [];
        const [file = "", anchor] = target.split("#");
        const at = file ? join(root, dirname(path), file) : join(root, path);
        if (!existsSync(at)) return [`${path}: ${target}: no such file`];
        if (anchor && at.endsWith(".md") && !anchors(readFileSync(at, "utf8")).has(anchor))
          return [`${path}: ${target}: no such heading`];
        return [];
      });
    });
  expect(broken).toEqual([]);
});
