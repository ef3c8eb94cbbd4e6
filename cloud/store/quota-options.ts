/** How large the share of one gateway is, where nothing else is configured. */
import { z } from 'zod';

const most = z.coerce.number().int().min(1);

export const quotaSchema = z.strictObject({
  devices: most.default(20_000).describe('Devices of one gateway.'),
  metrics: most.default(2_000).describe('Names of metrics that one gateway brings in.'),
  rowsPerDay: most
    .default(20_000_000)
    .describe(
      'New or changed windows, ledger entries and loss records of one gateway in a UTC day. A backlog that drains needs room: ' +
        '1,000 devices by the minute are 1.4 million windows a day.',
    ),
});
