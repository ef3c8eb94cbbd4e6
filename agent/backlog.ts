/** The buffer as the push stage wants it: windows close by the steady clock, and are refused at a time that people read. */
import type { EdgeBuffer } from './buffer/buffer.js';
import type { Backlog } from './push/backlog.js';
import type { PushClock } from './push/push.js';

export function backlogOf(buffer: EdgeBuffer, clock: PushClock): Backlog {
  const { windows } = buffer;
  return {
    page: (after, limit) => windows.backlog(clock.steadyMs(), after, limit),
    unsent: (id) => windows.unsent(clock.steadyMs(), id),
    ledger: (refs) => windows.ledger(refs),
    attempted: (refs) => buffer.attempted(refs),
    receipted: (refs) => buffer.receipted(refs),
    refused: () => windows.refused.list(),
    refuse: (ref, reason, detail) => windows.refused.put({ ref, reason, detail, atMs: clock.nowMs() }),
    losses: {
      untold: (maxBytes) => buffer.losses.untold(maxBytes),
      receipted: (told) => buffer.lossesReceipted(told),
    },
  };
}
