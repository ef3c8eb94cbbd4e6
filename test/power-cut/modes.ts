/** The ways in which the gateway is run while its power is cut, and what is promised of each. */

import { SYNC_STEPS } from './gateway.js';
import { nameOf } from './history.js';
import type { Cut } from './rig.js';

export const MODES = ['each-commit', 'relaxed', 'normal', 'ack-first'] as const;
export type Mode = (typeof MODES)[number];

export const TITLES: Readonly<Record<Mode, string>> = {
  'each-commit': '`each-commit`, the default',
  relaxed: `\`relaxed\`, synced every ${SYNC_STEPS} steps`,
  normal: 'control: `synchronous=NORMAL`',
  'ack-first': 'control: acknowledged before the commit',
};

/** What is wrong with what a cut did; of a control, that it did nothing wrong is for `judgeAll`. */
export function judge(mode: Mode, { lost, twice, unkept, reused, lostSteps, wrong }: Cut): string[] {
  if (isControl(mode)) return [];
  const found = [...wrong, ...reused];
  if (twice.length > 0) found.push(`${twice.length} counted twice: ${names(twice)}`);
  if (unkept.length > 0) found.push(`${unkept.length} batches have a receipt and are not in the store`);
  if (mode === 'each-commit' && lost.length > 0) found.push(`${lost.length} lost: ${names(lost)}`);
  if (lostSteps > SYNC_STEPS) found.push(`the readings of ${lostSteps} steps are lost`);
  return found;
}

/** A control that loses nothing proves that the rig sees nothing. */
export function judgeAll(mode: Mode, cuts: readonly Cut[]): string[] {
  if (!isControl(mode) || cuts.some(({ lost }) => lost.length > 0)) return [];
  return [`${TITLES[mode]} lost nothing in ${cuts.length} cuts: this rig proves nothing`];
}

export function isControl(mode: Mode): boolean {
  return mode === 'normal' || mode === 'ack-first';
}

function names(ids: readonly number[]): string {
  return ids.slice(0, 5).map(nameOf).join(', ');
}
