/** "Did you mean": the nearest names to one that does not exist. */

/** Rows of the table of distances: this one, the one before, the one before that. Grown when a name is longer. */
let rows: [Uint16Array, Uint16Array, Uint16Array] = [new Uint16Array(128), new Uint16Array(128), new Uint16Array(128)];

/**
 * Edit distance with transpositions (optimal string alignment), cut off above `limit`. Only the cells that can stay below the limit are
 * computed, since a kernel has tens of thousands of names to compare with.
 */
export function editDistance(a: string, b: string, limit = 8): number {
  const over = limit + 1;
  if (Math.abs(a.length - b.length) > limit) return over;
  if (b.length + 2 > rows[0].length) {
    const length = b.length * 2;
    rows = [new Uint16Array(length), new Uint16Array(length), new Uint16Array(length)];
  }
  let [current, previous, before] = rows;
  for (let j = 0; j <= b.length; j++) previous[j] = Math.min(j, over);
  for (let i = 1; i <= a.length; i++) {
    const first = Math.max(1, i - limit);
    const last = Math.min(b.length, i + limit);
    const code = a.charCodeAt(i - 1);
    const codeBefore = i > 1 ? a.charCodeAt(i - 2) : -1;
    current[first - 1] = first === 1 ? Math.min(i, over) : over;
    let smallest = first === 1 ? i : over;
    for (let j = first; j <= last; j++) {
      const other = b.charCodeAt(j - 1);
      let best = previous[j - 1]! + (code === other ? 0 : 1);
      // The cell above the band's end belongs to no row yet.
      const above = j === i + limit ? over : previous[j]!;
      if (above + 1 < best) best = above + 1;
      if (current[j - 1]! + 1 < best) best = current[j - 1]! + 1;
      if (j > 1 && code === b.charCodeAt(j - 2) && codeBefore === other && before[j - 2]! + 1 < best)
        best = before[j - 2]! + 1;
      if (best > over) best = over;
      current[j] = best;
      if (best < smallest) smallest = best;
    }
    if (smallest > limit) return over;
    [current, previous, before] = [before, current, previous];
  }
  return previous[b.length]!;
}

/** Which characters a text has, as bits by their low five bits; `_` and letters have one each. */
function charactersOf(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits |= 1 << (text.charCodeAt(i) & 31);
  return bits;
}

function countBits(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Names with more differences have little to do with each other, however long they are. */
const MOST_EDITS = 6;
/** Differences of a slip of the hand. Of candidates that are so near, those further away are no rivals, and telling costs a fraction. */
const FEW_EDITS = 2;

interface Scored {
  readonly candidate: string;
  readonly score: number;
}

/** Candidates at most so many edits away. */
function withinEdits(wanted: string, candidates: readonly string[], limit: number): Scored[] {
  const characters = charactersOf(wanted);
  const scored: Scored[] = [];
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) > limit) continue;
    const lower = candidate.toLowerCase();
    // Each character that only one of them has costs an edit.
    const has = charactersOf(lower);
    if (countBits(has & ~characters) > limit || countBits(characters & ~has) > limit) continue;
    const score = editDistance(wanted, lower, limit);
    if (score <= limit) scored.push({ candidate, score });
  }
  return scored;
}

/** Candidates that contain the name, or are contained in it. */
function withinEachOther(wanted: string, candidates: readonly string[], limit: number): Scored[] {
  return candidates.flatMap((candidate): Scored[] => {
    const lower = candidate.toLowerCase();
    if (wanted.length >= 3 && lower.includes(wanted))
      return [{ candidate, score: limit + 1 + (lower.length - wanted.length) / 100 }];
    if (lower.length >= 4 && wanted.includes(lower))
      return [{ candidate, score: limit + 2 + (wanted.length - lower.length) / 100 }];
    return [];
  });
}

/**
 * The candidates closest to `name`, best first: near spellings, then names that contain it or share a long piece with it.
 * Returns at most `count`; empty when nothing is close.
 */
export function nearestNames(name: string, candidates: Iterable<string>, count = 3): string[] {
  const wanted = name.toLowerCase();
  const names = [...candidates];
  const limit = Math.min(MOST_EDITS, Math.max(1, Math.floor(wanted.length / 3)));
  let scored = withinEdits(wanted, names, Math.min(FEW_EDITS, limit));
  if (scored.length < count) {
    const known = new Set<string>();
    const rest = scored.length === 0 && limit > FEW_EDITS ? withinEdits(wanted, names, limit) : [];
    scored = [...scored, ...rest, ...withinEachOther(wanted, names, limit)].filter(
      ({ candidate }) => !known.has(candidate) && known.add(candidate),
    );
  }
  scored.sort((x, y) => x.score - y.score || (x.candidate < y.candidate ? -1 : 1));
  return scored.slice(0, count).map((s) => s.candidate);
}
