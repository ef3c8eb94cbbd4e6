/**
 * How many windows of the backlog may leave: what the cloud granted in its last receipt. Live windows need no credit. Pure:
 * time is an argument, of a clock that never jumps.
 *
 * A new link knows nothing yet: its first windows of the backlog wait a random while (full jitter, so that a fleet that
 * comes back at once does not drain at once), then a few go ahead for a receipt. A receipt without credit is one of a
 * cloud that grants none: nothing is limited then. A grant is forgotten after a while without a receipt. Over a link that brings
 * no receipts a standing grant takes its place.
 */

export interface Grant {
  /** Windows of the backlog a second. */
  readonly windowsPerSecond: number;
}

interface Rate {
  readonly perSecond: number;
  readonly untilMs: number;
}

/** Windows that go ahead for a receipt, so many at a time. */
const PROBE_WINDOWS = 10;
const VALID_MS = 60_000;
/** A purse holds the credit of this long; so much may be without a receipt too. */
const PURSE_SECONDS = 10;
/** Without company a batch waits for the credit of this long, or for so many windows: a thousand small batches are a load too. */
const GATHER_SECONDS = 5;
const GATHER_WINDOWS = 500;

export class Credit {
  readonly #jitterMs: number;
  /** 'none': nothing is known yet. */
  #rate: Rate | 'unlimited' | 'none' = 'none';
  #probeMs = Number.POSITIVE_INFINITY;
  #standing: Grant | undefined;
  #purse = 0;
  #atMs = 0;

  /** `jitterMs`: the longest that the first windows of the backlog wait. */
  constructor(jitterMs: number) {
    this.#jitterMs = jitterMs;
  }

  /** What the last receipt granted, windows a second; undefined where nothing limits or nothing is known. */
  get perSecond(): number | undefined {
    return typeof this.#rate === 'object' ? this.#rate.perSecond : undefined;
  }

  /** `random`: 0 ≤ random < 1. `standing`: where nobody grants anything on this link. */
  linkUp(nowMs: number, random: number, standing?: Grant): void {
    this.#rate = 'none';
    this.#standing = standing;
    this.#probeMs = nowMs + random * this.#jitterMs;
  }

  /** Of a receipt that came just now; undefined where it says nothing of credit. */
  grant(grant: Grant | undefined, nowMs: number): void {
    if (grant === undefined) {
      this.#rate = 'unlimited';
      return;
    }
    this.#earn(nowMs);
    if (typeof this.#rate !== 'object') this.#purse = 0;
    this.#atMs = nowMs;
    this.#rate = { perSecond: grant.windowsPerSecond, untilMs: nowMs + VALID_MS };
  }

  /**
   * How many windows of the backlog may leave now. `alone`: in a batch without live ones, which is worth it only where some
   * have gathered. `out`: how many are on their way.
   */
  allowed(nowMs: number, alone: boolean, out: number): number {
    if (typeof this.#rate === 'object' && nowMs >= this.#rate.untilMs) {
      this.#rate = 'none';
      this.#probeMs = nowMs;
    }
    if (this.#rate === 'none' && this.#standing !== undefined && nowMs >= this.#probeMs)
      this.grant(this.#standing, nowMs);
    if (this.#rate === 'unlimited') return Number.POSITIVE_INFINITY;
    if (this.#rate === 'none') return alone && out === 0 && nowMs >= this.#probeMs ? PROBE_WINDOWS : 0;
    this.#earn(nowMs);
    const { perSecond } = this.#rate;
    const most = Math.max(1, perSecond * PURSE_SECONDS) - out;
    const allowed = Math.max(0, Math.floor(Math.min(this.#purse, most)));
    const worthIt = Math.min(Math.max(1, perSecond * GATHER_SECONDS), GATHER_WINDOWS);
    return alone && allowed < worthIt ? 0 : allowed;
  }

  /** So many windows of the backlog left. */
  spend(windows: number): void {
    this.#purse -= windows;
  }

  #earn(nowMs: number): void {
    if (typeof this.#rate !== 'object') return;
    const { perSecond } = this.#rate;
    const earned = ((nowMs - this.#atMs) / 1000) * perSecond;
    this.#purse = Math.min(this.#purse + earned, Math.max(1, perSecond * PURSE_SECONDS));
    this.#atMs = nowMs;
  }
}
