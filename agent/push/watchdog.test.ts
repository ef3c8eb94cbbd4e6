import t from 'tap';
import { Watchdog } from './watchdog.js';

const MINUTE = 60_000;

/** What it does in a silence that is looked at every ten seconds, and when. */
function silence(watchdog: Watchdog, fromMs: number, toMs: number, patienceMs = 0): string[] {
  const steps: string[] = [];
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 10_000) {
    const step = watchdog.silent(nowMs, patienceMs);
    if (step !== undefined) steps.push(`${step} ${(nowMs - fromMs) / MINUTE}`);
    if (step === 'exit') break;
  }
  return steps;
}

t.test('a new socket, new clients ever more patiently, then the exit', async (t) => {
  const watchdog = new Watchdog({ silenceMs: 2 * MINUTE, exitMs: 60 * MINUTE });
  t.strictSame(silence(watchdog, 5 * MINUTE, 100 * MINUTE), [
    'new-socket 2',
    'new-client 4',
    'new-client 8',
    'new-client 16',
    'new-client 32',
    'exit 60',
  ]);
});

t.test('it never exits where that is turned off', async (t) => {
  const watchdog = new Watchdog({ silenceMs: 2 * MINUTE, exitMs: undefined });
  t.notMatch(silence(watchdog, 0, 6000 * MINUTE).join(), /exit/);
});

t.test('a receipt begins it anew', async (t) => {
  const watchdog = new Watchdog({ silenceMs: 2 * MINUTE, exitMs: 60 * MINUTE });
  silence(watchdog, 0, 59 * MINUTE);
  watchdog.calm();
  t.equal(watchdog.silentMs, 0);
  t.strictSame(silence(watchdog, 60 * MINUTE, 64 * MINUTE), ['new-socket 2', 'new-client 4']);
});

t.test('a link that is down is no silence, and does not begin it anew', async (t) => {
  const watchdog = new Watchdog({ silenceMs: 2 * MINUTE, exitMs: 10 * MINUTE });
  t.strictSame(silence(watchdog, 0, 3 * MINUTE), ['new-socket 2']);
  watchdog.pause();
  t.strictSame(silence(watchdog, 1000 * MINUTE, 1001 * MINUTE), ['new-client 1']);
  for (let day = 1; day < 10; day++) {
    watchdog.pause();
    t.equal(watchdog.silent(day * 1440 * MINUTE), undefined);
  }
});

t.test('a machine that slept was not silent', async (t) => {
  const watchdog = new Watchdog({ silenceMs: 2 * MINUTE, exitMs: 60 * MINUTE });
  watchdog.silent(0);
  t.equal(watchdog.silent(600 * MINUTE), undefined);
});

t.test('what a cloud asks to be waited for is no silence', async (t) => {
  const watchdog = new Watchdog({ silenceMs: 2 * MINUTE, exitMs: 60 * MINUTE });
  t.strictSame(silence(watchdog, 0, 100 * MINUTE, 7 * MINUTE), [
    'new-socket 9',
    'new-client 11',
    'new-client 15',
    'new-client 23',
    'new-client 39',
    'exit 67',
  ]);
});
