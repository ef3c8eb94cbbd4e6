/** The buffer as the push stage wants it: windows close by the steady clock, and are refused at a time that people read. */
import type { EdgeBuffer } from './buffer/buffer.js';
import type { Backlog } from './push/backlog.js';
import type { PushClock } from './push/push.js';

/** `failed` hears of each error, before it is thrown on. */
export function backlogOf(buffer: EdgeBuffer, clock: PushClock, failed: (error: unknown) => void = () => {}): Backlog {
  const { windows } = buffer;
  const watched =
    <A extends unknown[], R>(method: (...args: A) => R) =>
    (...args: A): R => {
      try {
        return method(...args);
      } catch (error) {
        failed(error);
        throw error;
      }
    };
  return {
    page: watched((after, limit) => windows.backlog(clock.steadyMs(), after, limit)),
    unsent: watched((id) => windows.unsent(clock.steadyMs(), id)),
    ledger: watched((refs) => windows.ledger(refs)),
    attempted: watched((refs) => buffer.attempted(refs)),
    receipted: watched((refs) => buffer.receipted(refs)),
    refused: watched(() => windows.refused.list()),
    refuse: watched((ref, reason, detail) => windows.refused.put({ ref, reason, detail, atMs: clock.nowMs() })),
    losses: {
      untold: watched((maxBytes) => buffer.losses.untold(maxBytes)),
      receipted: watched((told) => buffer.lossesReceipted(told)),
    },
  };
}
