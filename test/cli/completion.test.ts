/** What shells complete, asked of the shells themselves. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { probeCandidates, scriptCandidates } from "../../src/cli/candidates.ts";
import { LinuxEnvironment } from "../../src/runtime/environment.ts";
import { describeUnless, describeWith, missing } from "../support/needs.ts";
import { bundleCli } from "./support.ts";

let directory: string;

/** Runs shell code with skep in $PATH and its completion loaded. */
function ask(shell: string, code: string): string {
  const loaded = `${shell === "fish" ? "skep completion fish | source" : "source <(skep completion bash)"}\n${code}`;
  const env = { ...process.env, PATH: `${directory}:${process.env.PATH}`, HOME: directory };
  const { stdout, stderr } = spawnSync(shell, ["-c", loaded], { encoding: "utf8", env });
  return stdout + stderr;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "skep-completion-"));
  const command = join(directory, "skep");
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${await bundleCli()}" "$@"\n`);
  chmodSync(command, 0o755);
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describeWith(["linux", "root", "tracefs"], "candidates", () => {
  const environment = new LinuxEnvironment();
  test.each<[text: string, candidates: string[]]>([
    ["inter", ["interval:"]],
    ["tracepoint:sched:sched_swi", ["tracepoint:sched:sched_switch"]],
    ["t:sched:sched_swi", ["t:sched:sched_switch"]],
    ["tracepoint:sche", ["tracepoint:sched:"]],
    ["BEGIN { strf", ["strftime("]],
    ["BEGIN { @[cgroup_p", ["cgroup_path("]],
    ['BEGIN { printf("}"); strf', ["strftime("]],
    ["BEGIN { exit(); } inter", ["interval:"]],
    ["BEGIN { nosuch", []],
  ])("%s", (text, candidates) => expect(scriptCandidates(text, environment)).toEqual(candidates));

  test("providers", () => expect(probeCandidates("", environment)).toContain("tracepoint:"));
});

const cases: [words: string[], candidates: string][] = [
  [["skep", "tr"], "trace"],
  [["skep", "trace", "--fo"], "--format"],
  [["skep", "trace", "-f", "j"], "json"],
  [["skep", "trace", "-l", "tracepo"], "tracepoint:"],
  [["skep", "trace", "-l", "tracepoint:sched:sched_swi"], "tracepoint:sched:sched_switch"],
  [["skep", "trace", "-e", "'BEGIN { strf"], "BEGIN { strftime("],
  [["skep", "build", "--emit", "o"], "object"],
  [["skep", "completion", "z"], "zsh"],
  [["skep", "run", "--dura"], "--duration"],
  [["skep", "features", "map/lpm"], "map/lpm_trie"],
  [["skep", "features", "bpf_loo"], "bpf_lookup_system_key"],
  [["skep", "gen", "vml"], "vmlinux"],
  [["skep", "gen", "types", "--emb"], "--embed"],
];

describeUnless(missing("linux", "root", "tracefs"), "bash", () => {
  test.each(cases)("%j", (words, candidates) => {
    // As bash hands them over: broken at colons.
    const broken = words.flatMap((word) => (word.startsWith("'") ? [word] : word.split(/(:)/).filter(Boolean)));
    const list = broken.map((word) => `"${word}"`).join(" ");
    const found = ask(
      "bash",
      `COMP_WORDS=(${list}); COMP_CWORD=${broken.length - 1}; _skep 2>/dev/null; echo "\${COMPREPLY[0]}"`,
    );
    const typed = words.at(-1)!;
    const kept = typed.startsWith("'") ? "" : typed.slice(0, typed.lastIndexOf(":") + 1);
    expect(kept + found).toBe(`${candidates}\n`);
  });
});

const fish = spawnSync("fish", ["--version"]).error ? "fish is not installed (apt-get install fish)" : undefined;
describeUnless(missing("linux", "root", "tracefs") ?? fish, "fish", () => {
  test.each(cases)("%j", (words, candidates) => {
    const found = ask("fish", `complete -C "${words.join(" ")}"`);
    expect(found.split("\n").map((line) => line.split("\t")[0])).toContain(candidates);
  });
});

/** Types into an interactive zsh on a terminal of its own, and shows what stands on the line then. */
const ZSH = `
zmodload zsh/zpty
zpty z "zsh -f -i"
zpty -w z 'autoload -Uz compinit && compinit -u -D; source <(skep completion zsh); PROMPT=; bindkey "^X" beep; show() { print -r -- "<$BUFFER>"; zle kill-whole-line }; zle -N show; bindkey "^T" show; echo rea""dy'
zpty -r z line '*ready*'
zpty -w -n z "$LINE"$'\\t'
sleep 1.5
zpty -w -n z $'\\x14'
zpty -r z line '*>*' && print -r -- "$line"
zpty -d z
`;
const zsh = spawnSync("zsh", ["--version"]).error ? "zsh is not installed (apt-get install zsh)" : undefined;
describeUnless(missing("linux", "root", "tracefs") ?? zsh, "zsh", () => {
  test.each(cases.filter((_, i) => i === 1 || i === 4 || i === 5))("%j", (words, candidates) => {
    const env = {
      ...process.env,
      PATH: `${directory}:${process.env.PATH}`,
      HOME: directory,
      TERM: "dumb",
      LINE: words.join(" "),
    };
    const { stdout } = spawnSync("zsh", ["-fc", ZSH], { encoding: "utf8", env, timeout: 15_000 });
    const start = words.slice(0, -1).join(" ");
    expect(stdout).toContain(`<${start} ${words.at(-1)!.startsWith("'") ? "'" : ""}${candidates}`);
  });
});
