/**
 * Whether somebody says that the system clock is set. Reads what a time service leaves in /run; asks `timedatectl` now and
 * then where only the kernel knows. Never waits for an answer, never throws: who cannot be asked is `unknown`.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Evidence = 'synchronized' | 'unsynchronized' | 'unknown';

/** Set by systemd-timesyncd at its first synchronisation; the directory is there while it runs. */
const TIMESYNCD = 'run/systemd/timesync';
/** Of chrony and ntpd, as Debian, Fedora and Alpine have them: these tell the kernel, and `timedatectl` asks it. */
const OTHER_SERVICES = ['run/chrony', 'run/chronyd.pid', 'run/ntpd.pid', 'run/ntpsec', 'run/ntpd'];
const LOOK_EVERY_MS = 500;
const ASK_EVERY_MS = 10_000;
const ASK_TIMEOUT_MS = 5_000;

/** Answers `yes`, `no`, or undefined where nobody answers. */
export type AskKernel = (done: (answer: string | undefined) => void) => void;

export class TimeService {
  readonly #root: string;
  readonly #ask: AskKernel;
  /** Until the first answer comes: a service that runs has its say. */
  #answer: string | undefined = 'no';
  #askedMs = Number.NEGATIVE_INFINITY;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #evidence: Evidence = 'unknown';

  constructor(root = '/', ask: AskKernel = askTimedatectl) {
    this.#root = root;
    this.#ask = ask;
  }

  evidence(monotonicMs: number): Evidence {
    if (monotonicMs - this.#lookedMs >= LOOK_EVERY_MS) {
      this.#lookedMs = monotonicMs;
      this.#evidence = this.#look(monotonicMs);
    }
    return this.#evidence;
  }

  #look(monotonicMs: number): Evidence {
    const answer = this.#serviceAnswer(monotonicMs);
    if (answer === 'yes') return 'synchronized';
    // a hardware clock with a battery is as good as a service that has not answered yet
    return answer === 'no' && !this.#hasHardwareClock() ? 'unsynchronized' : 'unknown';
  }

  #serviceAnswer(monotonicMs: number): string | undefined {
    if (this.#exists(TIMESYNCD)) return this.#exists(`${TIMESYNCD}/synchronized`) ? 'yes' : 'no';
    if (!OTHER_SERVICES.some((path) => this.#exists(path))) return undefined;
    if (monotonicMs - this.#askedMs >= ASK_EVERY_MS) {
      this.#askedMs = monotonicMs;
      this.#ask((answer) => {
        this.#answer = answer;
      });
    }
    return this.#answer;
  }

  /** Whether the kernel set the system clock from a hardware clock when it started. */
  #hasHardwareClock(): boolean {
    try {
      const folder = join(this.#root, 'sys/class/rtc');
      return readdirSync(folder).some((rtc) => readFileSync(join(folder, rtc, 'hctosys'), 'utf8').trim() === '1');
    } catch {
      return false;
    }
  }

  #exists(path: string): boolean {
    return existsSync(join(this.#root, path));
  }
}

function askTimedatectl(done: (answer: string | undefined) => void): void {
  const args = ['show', '--property=NTPSynchronized', '--value'];
  execFile('timedatectl', args, { timeout: ASK_TIMEOUT_MS }, (error, stdout) => {
    const answer = stdout.trim();
    done(error === null && (answer === 'yes' || answer === 'no') ? answer : undefined);
  });
}
