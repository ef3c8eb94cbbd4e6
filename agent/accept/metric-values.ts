/** What counts as a number: JSON numbers and booleans; by option, numbers written as text and words such as ON and OFF. */
import { MAX_MAGNITUDE, MIN_MAGNITUDE } from '../../shared/exact.js';

export interface NumberRules {
  readonly words: Readonly<Record<string, number>>;
  readonly numericStrings: boolean;
  /** The decimal mark in numbers written as text. */
  readonly decimal: '.' | ',';
}

/** The number that a value stands for; NaN if it stands for none. It may still be one that does not count. */
export type ToNumber = (value: unknown) => number;

const NUMERIC = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;

export function compileNumber({ words, numericStrings, decimal }: NumberRules): ToNumber {
  const known = new Map(Object.entries(words));
  return (value) => {
    if (typeof value === 'number') return value;
    if (typeof value === 'boolean') return value ? 1 : 0;
    if (typeof value !== 'string') return NaN;
    const word = known.get(value);
    if (word !== undefined) return word;
    return numericStrings ? numberOfText(value, decimal) : NaN;
  };
}

export function numberOfText(text: string, decimal: '.' | ','): number {
  const plain = decimal === ',' ? text.replace(',', '.') : text;
  return NUMERIC.test(plain) ? Number(plain) : NaN;
}

/** Whether sums of it can be exact: finite, and neither too large nor too close to zero. */
export function counts(value: number): boolean {
  return (
    (value <= MAX_MAGNITUDE && value >= MIN_MAGNITUDE) ||
    (value >= -MAX_MAGNITUDE && value <= -MIN_MAGNITUDE) ||
    value === 0
  );
}

export const EXPECTED_NUMBER = 'a number within ±1e120, and 0 or beyond ±1e-120';
