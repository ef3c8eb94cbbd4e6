/** Batches with right checksums that say what cannot be, and the reason each is refused for. */
import { constants, deflateRawSync } from 'node:zlib';
import { NOON, windowsOf } from '../cloud/store/samples.js';
import { sealBatch } from '../shared/batch.js';
import { ByteWriter } from '../shared/bytes.js';
import { float, forge, LIAR_EPOCH, type Patch, varints } from './forgery.js';

/** What the lies are made of. */
export const TRUTH = windowsOf([0.1, 1 / 3, 2 / 3].map((c, i) => ({ timeMs: NOON + i * 1000, values: { c } })))[0]!;

/** What is said, and what becomes of it. */
export const LIES: readonly (readonly [name: string, reason: string, bytes: (sequence: number) => Uint8Array])[] = [
  ...[Number.NaN, Number.POSITIVE_INFINITY, 1e308, -0, 1e-308].map(
    (value) => [`min is ${value}`, 'invalid', patched({ float: float(0, value) })] as const,
  ),
  ['max is below min', 'invalid', patched({ float: float(1, 0.01) })],
  ['first is beyond max', 'invalid', patched({ float: float(2, 0.9) })],
  [
    'a sum too small for its squares',
    'invalid',
    patched({ sum: (column) => replaced(column, column.length - 1, 0x7f) }),
  ],
  ['a scale without end', 'invalid', patched({ sum: varints(2 ** 50, 1, 1) })],
  ['revision 2^53', 'corrupt', patched({ revision: () => Buffer.from('8080808080808010', 'hex') })],
  ['revision 2^53 - 1', 'invalid', patched({ revision: varints(2 ** 53 - 1) })],
  ['revision 0', 'invalid', patched({ revision: varints(0) })],
  ['no readings', 'invalid', patched({ readings: varints(0) })],
  [
    'fewer readings than values',
    'invalid',
    patched({ readings: varints(2), n: varints(3), head: (c) => replaced(c, 0, c[0]! & ~0x20) }),
  ],
  ['10^15 readings', 'invalid', patched({ readings: varints(1e15) })],
  ['a window of no length', 'invalid', patched({ length: varints(0) })],
  ['a window of two days', 'invalid', patched({ length: varints(172_800_000) })],
  ['a window beyond all time', 'invalid', patched({ start: varints(2 ** 52) })],
  ['a million windows', 'too-large', patched({ counts: varints(1, 1, 1, 1, 1, 0, 1_000_000, 0) })],
  ['2^53 - 1 devices', 'invalid', patched({ counts: varints(1, 1, 2 ** 53 - 1, 1, 1, 0, 1, 0) })],
  ['2^53 - 1 metrics', 'too-large', patched({ counts: varints(1, 1, 1, 2 ** 53 - 1, 1, 0, 1, 0) })],
  ['a window twice', 'invalid', (sequence) => forge(sequence, [TRUTH, TRUTH])],
  ['a name with a line break', 'invalid', patched({ text: (column) => replaced(column, 0, 10) })],
  ['a name of bytes that are no text', 'corrupt', patched({ text: (column) => replaced(column, 0, 0xff) })],
  ['a bomb', 'too-large', (sequence) => bomb(sequence, 112 * 2 ** 20)],
  ['a bomb that says it is small', 'corrupt', (sequence) => bomb(sequence, 1000)],
];

function patched(patch: Patch): (sequence: number) => Uint8Array {
  return (sequence) => forge(sequence, [TRUTH], patch);
}

function replaced(column: Buffer, at: number, byte: number): Buffer {
  column[at] = byte;
  return column;
}

/** 112 MB of zeros in what IoT Core lets through. */
function bomb(sequence: number, claimedBytes: number): Uint8Array {
  const block = deflateRawSync(Buffer.alloc(16 * 2 ** 20), { finishFlush: constants.Z_FULL_FLUSH });
  const packed = Buffer.concat([...Array.from({ length: 7 }, () => block), deflateRawSync(Buffer.alloc(0))]);
  const body = new ByteWriter(packed.length + 16);
  body.varint(claimedBytes);
  body.varint(packed.length);
  body.raw(packed);
  return sealBatch({ epoch: LIAR_EPOCH, session: 1, sequence }, body.bytes());
}
