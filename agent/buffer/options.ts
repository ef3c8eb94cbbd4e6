/** Options of the buffer: how often readings are made durable, how long and how much is kept. */
import { z } from 'zod';
import { byteSize, byteSizeBetween, duration } from '../../shared/config.js';
import { formatDuration } from '../../shared/config-fields.js';

export const bufferSchema = z.strictObject({
  commitInterval: duration
    .default(100)
    .describe(
      'At most one commit (one fsync) in this time (more where a thousand readings wait and the disk is quick): readings ' +
        'that come within it are committed and acknowledged together. It is also the loss window of QoS 0 readings at a power cut.',
    ),
  durability: z
    .enum(['each-commit', 'relaxed'])
    .default('each-commit')
    .describe(
      '`each-commit`: a reading is acknowledged after the fsync of its commit; a power cut loses no acknowledged reading. ' +
        '`relaxed`: it is acknowledged after its commit and before the fsync, which comes every `syncInterval`; a power cut ' +
        'loses the acknowledged readings of that time (a killed program loses none), and nothing is counted twice. For cards ' +
        'and disks that cannot take an fsync each `commitInterval`.',
    ),
  syncInterval: duration
    .default(10_000)
    .describe('With `durability: relaxed`: acknowledged readings of this time, at most, are lost at a power cut.'),
  future: duration
    .default(300_000)
    .describe('A reading whose observation time is further ahead of the clock than this is held apart until then.'),
  retention: duration
    .default(604_800_000)
    .describe(
      'How long (of running time) a window is kept after its receipt, so that late readings amend it and repeated ones are ' +
        'recognised.',
    ),
  maxBytes: byteSize.default(512 * 1024 * 1024).describe('Cap on the size of the database.'),
  maxMemory: byteSizeBetween(1024 * 1024, 64 * 1024 ** 3)
    .default(96 * 1024 * 1024)
    .describe(
      'Windows in memory, about: above it they are saved before their time, and nothing is taken in meanwhile. The agent ' +
        'itself takes some 100 MB besides.',
    ),
  maxDevices: z
    .number()
    .int()
    .min(1)
    .max(10_000_000)
    .default(50_000)
    .describe('Devices that are known by name; readings of any more are rejected. 1,000 take about 0.5 MB of memory.'),
  maxMetricNames: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe('Metrics that are known by name, of all devices together; readings with any more are rejected.'),
  maxJournalBytes: byteSize
    .default(8 * 1024 * 1024)
    .describe('The journal of readings that are in no saved window yet is folded into windows at this size.'),
  maxQuarantineBytes: byteSize
    .default(1024 * 1024)
    .describe('Samples of rejected messages kept for `status`; the oldest make room.'),
});

export type BufferOptions = z.infer<typeof bufferSchema>;

/** What a power cut may take of what was acknowledged, in words; undefined where that is nothing. */
export function lossWindow({ durability, syncInterval }: BufferOptions): string | undefined {
  if (durability === 'each-commit') return undefined;
  return `durability is relaxed: a power cut loses up to ${formatDuration(syncInterval)} of acknowledged readings`;
}
