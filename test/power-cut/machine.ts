/** The virtual machine: boots into the guest's program on a disk, tells its lines, and has its power cut. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:net';
import { createInterface } from 'node:readline';
import { serveDisk } from './nbd.js';
import type { VolatileDisk } from './volatile-disk.js';

export const QEMU = '/usr/bin/qemu-system-x86_64';

export interface MachineParts {
  readonly kernel: string;
  readonly initramfs: string;
  readonly socket: string;
}

/** Before each line of the guest; what has none is the kernel's. */
export const MARK = '@';

export class Machine {
  readonly #process: ChildProcess;
  readonly #server: Server;
  /** What was said, without the mark. */
  readonly lines: string[] = [];
  /** Of the kernel, and of a program that fails. */
  readonly console: string[] = [];
  readonly #waiting: (() => void)[] = [];
  #ended = false;

  static async boot(parts: MachineParts, disk: VolatileDisk, args: readonly string[]): Promise<Machine> {
    const server = await serveDisk(disk, parts.socket);
    const qemu = spawn(QEMU, [
      ...['-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', '640', '-nodefaults', '-no-reboot', '-display', 'none'],
      ...['-kernel', parts.kernel, '-initrd', parts.initramfs, '-serial', 'stdio'],
      // What the machine writes goes to the disk at once, what it flushes is flushed: the only cache is ours. Not NVMe: that
      // of qemu 7 says that it knows forced unit access, and drops it, so what ext4 commits is lost.
      ...['-drive', `file=nbd+unix:///?socket=${parts.socket},format=raw,if=virtio,cache=writeback`],
      ...['-append', `console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check tsc=reliable -- ${args.join(' ')}`],
    ]);
    return new Machine(qemu, server);
  }

  readonly #killNow = () => this.#process.kill('SIGKILL');

  private constructor(qemu: ChildProcess, server: Server) {
    this.#process = qemu;
    this.#server = server;
    for (const output of [qemu.stdout!, qemu.stderr!]) {
      createInterface({ input: output }).on('line', (line) => this.#line(line));
    }
    process.once('exit', this.#killNow); // a machine does not outlive its rig
    qemu.once('close', () => {
      process.off('exit', this.#killNow);
      this.#ended = true;
      this.#wake();
    });
  }

  /** Resolves when so many lines were said. */
  async said(count: number): Promise<void> {
    while (this.lines.length < count) {
      if (this.#ended) throw new Error(`the machine ended: ${this.console.slice(-30).join('\n')}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** As if somebody pulled the plug; resolves when all that was said before is in `lines`. */
  async kill(): Promise<void> {
    if (!this.#ended) {
      this.#killNow();
      await once(this.#process, 'close');
    }
    this.#server.close();
  }

  #line(text: string): void {
    const line = text.replace('\r', '');
    if (line.startsWith(MARK)) this.lines.push(line.slice(MARK.length));
    else this.console.push(line);
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
