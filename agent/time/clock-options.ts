/** When the clock of this machine is believed. */
import { z } from 'zod';
import { duration } from '../../shared/config.js';

export const clockSchema = z.strictObject({
  trust: z
    .enum(['auto', 'always', 'synchronized'])
    .default('auto')
    .describe(
      'When the clock is believed. `auto`: where a time service runs and can be asked (systemd-timesyncd; chrony and ' +
        'ntpd by `timedatectl`), once it has set the clock, or at once if a hardware clock did; elsewhere unless the ' +
        'clock is behind the release of this program or behind the newest time that this database has seen. ' +
        '`synchronized`: only once a time service says so. `always`: whatever it says.',
    ),
  settle: duration
    .default(60_000)
    .describe(
      'A clock that is set by more than a second is believed again after this long, or as soon as a time service says ' +
        'that it is synchronised. Readings without a time of their own are kept apart until then, and get their right time.',
    ),
});

export type ClockOptions = z.infer<typeof clockSchema>;
