/** Options of the buffer: how often readings are made durable, how long and how much is kept. */
import { z } from 'zod';
import { byteSize, duration } from '../../shared/config.js';

export const bufferSchema = z.strictObject({
  commitInterval: duration
    .default(100)
    .describe(
      'At most one commit (one fsync) in this time: readings that come within it are committed and acknowledged ' +
        'together. It is also the loss window of QoS 0 readings at a power cut.',
    ),
  future: duration
    .default(300_000)
    .describe('A reading whose observation time is further ahead of the clock than this is held apart until then.'),
  retention: duration
    .default(604_800_000)
    .describe(
      'How long a window is kept after its receipt, so that late readings amend it and repeated ones are recognised.',
    ),
  maxBytes: byteSize.default(512 * 1024 * 1024).describe('Cap on the size of the database.'),
  maxJournalBytes: byteSize
    .default(8 * 1024 * 1024)
    .describe('The journal of readings that are in no saved window yet is folded into windows at this size.'),
  maxQuarantineBytes: byteSize
    .default(1024 * 1024)
    .describe('Samples of rejected messages kept for `status`; the oldest make room.'),
});

export type BufferOptions = z.infer<typeof bufferSchema>;
