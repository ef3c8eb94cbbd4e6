/**
 * Gateways whose database is an older copy of itself, as of a card restored from an image. A session is the number of the
 * opening with a random half: two of the same number are two databases that were one, and went apart before it.
 *
 * Nothing is refused for that, and nothing overwritten: each session writes windows of its own. But what only the lost
 * database had is not here.
 */
import { openingOf } from '../../shared/session.js';
import type { EpochRow } from '../store/accounts.js';

export interface Restored {
  readonly epoch: string;
  /** The first opening that both databases had, each its own. */
  readonly opening: number;
}

/** The epochs of which there is a copy. Pure. */
export function restoredOf(epochs: readonly Pick<EpochRow, 'epoch' | 'sessions'>[]): Restored[] {
  return epochs.flatMap(({ epoch, sessions }) => {
    const openings = sessions.map(({ session }) => openingOf(session)).sort((a, b) => a - b);
    const opening = openings.find((one, i) => one === openings[i - 1]);
    return opening === undefined ? [] : [{ epoch, opening }];
  });
}
