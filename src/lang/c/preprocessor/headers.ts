/** Where `#include` finds files. */

/** A header's contents. */
export interface Header {
  /** As messages show it; two headers are the same exactly when their paths are. */
  readonly path: string;
  readonly text: string;
  /** Of the compiler or the kernel: no warnings about it. */
  readonly system: boolean;
}

/** How a header is asked for. */
export interface HeaderRequest {
  /** Between the brackets or quotes. */
  readonly name: string;
  readonly angled: boolean;
  /** The file that asks. */
  readonly from: string;
  /** `#include_next`: only places behind the one that holds `from`. */
  readonly next: boolean;
}

/** Finds headers: those that come with the compiler, and the user's files. */
export interface HeaderProvider {
  find(request: HeaderRequest): Header | undefined;
  /** Names that come close to one that was not found. */
  nearest?(name: string): readonly string[];
  /** What comes with the compiler, for who names a header that does not. */
  readonly shipped?: string;
}
