/**
 * The virtual machine: boots into the guest's program, tells its lines, and has its power cut. Booting takes most of a life, so
 * it is done once: the machine is put to sleep before it knows its disk, and woken again and again.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { serveDisk } from './nbd.js';
import { VolatileDisk } from './volatile-disk.js';

export const QEMU = '/usr/bin/qemu-system-x86_64';

/** Paths. */
export interface MachineParts {
  readonly kernel: string;
  readonly initramfs: string;
  /** Of the disk. */
  readonly disk: string;
  /** Of the way to tell qemu what to do. */
  readonly control: string;
  /** Of the machine asleep. */
  readonly asleep: string;
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

  /** Boots a machine and leaves it asleep on the host's disk. */
  static async prepare(parts: MachineParts, diskBytes: number): Promise<void> {
    const machine = await Machine.#start(parts, new VolatileDisk(Buffer.alloc(diskBytes)), [
      ...['-qmp', `unix:${parts.control},server=on,wait=off`],
    ]);
    try {
      await machine.said(1);
      await migrate(parts.control, `exec:cat > ${parts.asleep}`);
    } finally {
      await machine.kill();
    }
  }

  /** Wakes the machine with a disk of its own; it does what the line says. */
  static async wake(parts: MachineParts, disk: VolatileDisk, line: string): Promise<Machine> {
    const machine = await Machine.#start(parts, disk, ['-incoming', `exec:cat ${parts.asleep}`]);
    machine.#process.stdin!.write(`\n${line}\n`);
    return machine;
  }

  static async #start(parts: MachineParts, disk: VolatileDisk, args: readonly string[]): Promise<Machine> {
    const server = await serveDisk(disk, parts.disk);
    const qemu = spawn(QEMU, [
      ...['-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', '640', '-nodefaults', '-no-reboot', '-display', 'none'],
      ...['-kernel', parts.kernel, '-initrd', parts.initramfs, '-serial', 'stdio'],
      // What the machine writes goes to the disk at once, what it flushes is flushed: the only cache is ours. Not NVMe: that
      // of qemu 7 says that it knows forced unit access, and drops it, so what ext4 commits is lost.
      ...['-drive', `file=nbd+unix:///?socket=${parts.disk},format=raw,if=virtio,cache=writeback`],
      ...['-append', 'console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check tsc=reliable'],
      ...args,
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
    qemu.stdin!.on('error', () => undefined); // it ended before it was told
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

/** Tells qemu to write the machine away; resolves when it has. */
async function migrate(controlPath: string, uri: string): Promise<void> {
  const socket = connect(controlPath);
  const tell = (execute: string, args: object = {}) => socket.write(JSON.stringify({ execute, arguments: args }));
  try {
    tell('qmp_capabilities');
    tell('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] });
    tell('migrate-set-parameters', { 'max-bandwidth': 2 ** 40 });
    tell('migrate', { uri });
    for await (const line of createInterface({ input: socket })) {
      const { event, data, error } = JSON.parse(line);
      if (error !== undefined) throw new Error(`qemu: ${error.desc}`);
      if (event === 'MIGRATION' && data.status === 'completed') return;
      if (event === 'MIGRATION' && data.status === 'failed') throw new Error('qemu cannot write the machine away');
    }
    throw new Error('qemu ended');
  } finally {
    socket.destroy();
  }
}
