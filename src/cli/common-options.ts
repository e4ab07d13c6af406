/** Options that several commands have. */
import type { Option } from "./options.ts";

/** `-h`. */
export const HELP: Option = { long: "help", short: "h", help: "show this help" };

/** `-o FILE`. */
export const OUTPUT: Option = {
  long: "output",
  short: "o",
  value: "FILE",
  completes: "file",
  help: "write to a file instead of stdout",
};

/** `--events MAP=TYPE`. */
export const EVENTS: Option = {
  long: "event",
  value: "MAP=TYPE",
  repeats: true,
  help: "records of MAP are of this C type, such as events='struct event' (may be given several times)",
};
