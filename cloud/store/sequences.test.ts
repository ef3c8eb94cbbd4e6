import fc from 'fast-check';
import { test } from 'tap';
import { addSequence, MAX_RANGES, NO_SEQUENCES, type SequenceSet, tallySequences } from './sequences.js';

const setOf = (sequences: readonly number[]): SequenceSet => sequences.reduce(addSequence, NO_SEQUENCES);

test('runs of numbers, whatever order they come in and however often', (t) => {
  const property = fc.property(fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 200 }), (sequences) => {
    const truth = new Set(sequences);
    const set = setOf(sequences);
    const { highest, arrived, missing, gaps } = tallySequences(set);
    t.equal(highest, Math.max(0, ...truth));
    t.equal(arrived, truth.size);
    t.equal(missing, highest - truth.size);
    const absent = gaps.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
    t.same(
      absent,
      Array.from({ length: highest }, (_, i) => i + 1).filter((n) => !truth.has(n)),
    );
    t.same(setOf([...truth].sort((a, b) => b - a)), set, 'the order leaves no trace');
    for (const sequence of truth) t.equal(addSequence(set, sequence), set, 'a repetition changes nothing');
  });
  fc.assert(property, { numRuns: 200 });
  t.end();
});

test('a gap is filled from either side, and from the middle', (t) => {
  const set = setOf([1, 2, 3, 9]);
  t.same(tallySequences(set).gaps, [[4, 8]]);
  t.same(setOf([1, 2, 3, 9, 4]).ranges, [
    [1, 4],
    [9, 9],
  ]);
  t.same(setOf([1, 2, 3, 9, 8]).ranges, [
    [1, 3],
    [8, 9],
  ]);
  t.same(setOf([1, 2, 3, 9, 6, 4, 5, 8, 7]).ranges, [[1, 9]]);
  t.end();
});

test('a link that loses every second batch: the record stays small, and the count right', (t) => {
  const odd = Array.from({ length: 5_000 }, (_, i) => 2 * i + 1);
  const set = setOf(odd);
  t.equal(set.ranges.length, MAX_RANGES);
  t.match(tallySequences(set), { highest: 9_999, arrived: 5_000, missing: 4_999 });
  t.equal(addSequence(set, 2), set, 'too late to tell from a repetition');
  t.match(tallySequences(addSequence(set, 9_998)), { arrived: 5_001, missing: 4_998 });
  t.end();
});
