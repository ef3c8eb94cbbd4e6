/**
 * The name of a session: one opening of a gateway's database for writing. It is one integer, the number of the opening
 * times 2^32 plus 32 random bits, so that the same opening of a copy of the database (an SD card restored from an old image)
 * is another session. Windows are named after the session that made them: see `WindowKey.part`.
 */

const RANDOM = 2 ** 32;
/** So that a session is a safe integer; whoever opens a database more often stays at this number. */
const MAX_OPENING = 2 ** 21 - 1;

/** `random`: 32 bits. */
export function nameSession(opening: number, random: number): number {
  return Math.min(opening, MAX_OPENING) * RANDOM + random;
}

/** How often the database had been opened by then, from 1 on. */
export function openingOf(session: number): number {
  return Math.floor(session / RANDOM);
}
