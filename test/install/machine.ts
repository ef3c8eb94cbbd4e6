/**
 * A throwaway Debian: its files made by mmdebstrap from Debian's mirror, booted by its own systemd in a container of namespaces
 * (systemd-nspawn), on the network of whoever starts it. Nothing of it outlives `stop` and its directory.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../cloud-rig.js';

const run = promisify(execFile);

/** What a small system has, and a service manager: no Node, no compiler, nothing for the agent. */
const PACKAGES = ['systemd', 'systemd-sysv', 'dbus'];
const SUITE = 'bookworm';
const MIRROR = 'http://deb.debian.org/debian';

export async function makeRoot(directory: string, hostname: string): Promise<void> {
  const include = `--include=${PACKAGES.join(',')}`;
  await run('mmdebstrap', ['--variant=minbase', '--quiet', include, SUITE, directory, MIRROR]);
  // as Debian's installer leaves them
  writeFileSync(join(directory, 'etc/hostname'), `${hostname}\n`);
  writeFileSync(join(directory, 'etc/hosts'), `127.0.0.1 localhost\n127.0.1.1 ${hostname}\n`);
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  /** With what it said on stderr. */
  readonly text: string;
}

export class Machine {
  readonly root: string;
  readonly #shared: string;
  #container: ChildProcess | undefined;
  #pid = 0;

  /** `shared` is seen inside as /srv/shared, read only. */
  constructor(root: string, shared: string) {
    this.root = root;
    this.#shared = shared;
  }

  /** Resolves when its systemd says that it is up. */
  async boot(): Promise<void> {
    const container = spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'TERM', 'systemd-nspawn', '--boot', '--quiet', '--keep-unit', '--register=no'],
        ...['--console=pipe', `--machine=${basename(this.root)}-${process.pid}`, '--directory', this.root],
        `--bind-ro=${this.#shared}:/srv/shared`,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#container = container;
    let said = '';
    container.stderr.on('data', (chunk) => {
      said += String(chunk);
    });
    await until(() => {
      if (container.exitCode !== null) throw new Error(`systemd-nspawn ended:\n${said}`);
      this.#pid = childOf(container.pid!);
      return isSystemd(this.#pid);
    });
    let state = '';
    await until(
      async () => {
        state = (await this.run('systemctl is-system-running; systemctl --failed')).text;
        return state.startsWith('running');
      },
      () => state,
    );
  }

  /** A shell command of root, as over ssh: with nothing of our environment. */
  async run(command: string): Promise<Ended> {
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    const environment = ['-i', path, 'HOME=/root', 'LANG=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive'];
    const inside = ['--target', String(this.#pid), '--mount', '--uts', '--ipc', '--pid', '--cgroup', '--wd'];
    const child = spawn('nsenter', [...inside, 'env', ...environment, 'sh', '-c', command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let text = '';
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
      text += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      text += String(chunk);
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code: code ?? -1, stdout, text };
  }

  /** Throws with all it said where it fails. */
  async must(command: string): Promise<string> {
    const { code, stdout, text } = await this.run(command);
    if (code !== 0) throw new Error(`\`${command}\` ended with ${code}:\n${text}`);
    return stdout;
  }

  at(path: string): string {
    return join(this.root, path);
  }

  /** Switched off as by its power button. */
  async stop(): Promise<void> {
    const container = this.#container;
    this.#container = undefined;
    if (container === undefined || container.exitCode !== null) return;
    const over = once(container, 'exit');
    container.kill('SIGTERM');
    await over;
  }
}

/** 0 where there is none (yet). */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}

/** Of a container that is not set up yet it is systemd-nspawn's own. */
function isSystemd(pid: number): boolean {
  return pid !== 0 && readFileSync(`/proc/${pid}/comm`, 'utf8') === 'systemd\n';
}
