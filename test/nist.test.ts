import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { mergeAll, type Observation, statisticsOf, summarize } from '../shared/summary.js';

/**
 * NIST's Statistical Reference Datasets, univariate: certified mean and standard deviation. At least 14 digits of both on
 * every file, and the same bits whole, shuffled and merged from any windows.
 */

/** From the project's root: ../shared/data/nist. */
const FOLDER = new URL('../../../shared/data/nist/', import.meta.url);
const FILES = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.dat')) : [];
/** Visible in the report where the data are not there. */
const skip = FILES.length === 0 && 'no ../shared/data/nist beside the project';
const LEAST_DIGITS = 14;

interface Dataset {
  readonly mean: number;
  readonly stddev: number;
  readonly count: number;
  readonly values: readonly number[];
}

function readDataset(file: string): Dataset {
  const text = readFileSync(new URL(file, FOLDER), 'latin1');
  const field = (pattern: RegExp) => Number(pattern.exec(text)?.[1]);
  const data = /^Data:\s+Y\s+-+\s+([\s\S]*)$/m.exec(text)?.[1] ?? '';
  return {
    mean: field(/^Sample Mean[^\d-]*(\S+)/m),
    stddev: field(/^Sample Standard Deviation \(denom\. = n-1\)[^\d-]*(\S+)/m),
    count: field(/Number of Observations:\s*(\d+)/),
    values: data.trim().split(/\s+/).map(Number),
  };
}

/** How many digits agree (log relative error); 16 where all do. */
function digits(shown: number | undefined, certified: number): number {
  if (shown === undefined || !Number.isFinite(shown)) return 0;
  return shown === certified ? 16 : Math.min(16, -Math.log10(Math.abs((shown - certified) / certified)));
}

/** What the usual running update on doubles gets, for comparison. */
function welford(values: readonly number[]): number {
  let mean = 0;
  let squares = 0;
  values.forEach((x, i) => {
    const delta = x - mean;
    mean += delta / (i + 1);
    squares += delta * (x - mean);
  });
  return Math.sqrt(squares / (values.length - 1));
}

t.test('at least 14 digits of mean and s, whole, shuffled, and from any windows', { skip }, async (t) => {
  t.comment('digits of  mean     s   (s by Welford on doubles)');
  for (const file of FILES) {
    const { mean, stddev, count, values } = readDataset(file);
    assert.equal(values.length, count, file);
    const observations: Observation[] = values.map((value, i) => ({ timeUs: i * 1_000_000, value }));
    const whole = summarize(observations);
    const shown = statisticsOf(whole);
    const [meanDigits, stddevDigits] = [digits(shown.mean, mean), digits(shown.stddev, stddev)];
    const usual = digits(welford(values), stddev).toFixed(1);
    t.comment(`${file.padEnd(13)} ${meanDigits.toFixed(1)}  ${stddevDigits.toFixed(1)}   (${usual})`);
    t.ok(meanDigits >= LEAST_DIGITS && stddevDigits >= LEAST_DIGITS, file);
    fc.assert(
      fc.property(
        fc.array(fc.nat(), { minLength: count, maxLength: count }),
        fc.integer({ min: 1, max: 60 }),
        (keys, parts) => {
          const shuffled = observations.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]!);
          const windows: Observation[][] = Array.from({ length: parts }, () => []);
          for (const i of shuffled) windows[keys[i]! % parts]!.push(observations[i]!);
          const merged = mergeAll(windows.filter((window) => window.length > 0).map(summarize));
          assert.deepEqual(merged, whole);
          assert.deepEqual(statisticsOf(merged), shown);
        },
      ),
      { numRuns: 10 },
    );
  }
});
