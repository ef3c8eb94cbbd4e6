/** Reads a little of the tables that opening does not read anyway: damage there is better found now than in mid-run. */
import type { EdgeBuffer } from './buffer.js';

export function lookAround({ damage, imports, quarantine, windows, held, undated }: EdgeBuffer): void {
  damage.counts();
  imports.find('');
  quarantine.newest(1);
  windows.refused.list();
  if (!windows.totalsFit) throw new RangeError('the totals of the backlog do not fit the windows');
  if (held.count + undated.count > 0) undated.boots();
}
