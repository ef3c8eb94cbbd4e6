/** One machine whose power is cut again and again, always on the same disk, and what came of each cut. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dice } from '../dice.js';
import { check, type Findings } from './check.js';
import { History } from './history.js';
import { Machine, type MachineParts } from './machine.js';
import type { Mode } from './modes.js';
import { VolatileDisk } from './volatile-disk.js';

export const MKE2FS = '/usr/sbin/mke2fs';
export const E2FSCK = '/usr/sbin/e2fsck';
export const DEBUGFS = '/usr/sbin/debugfs';

export const DISK_BYTES = 48 * 1024 * 1024;
/** How long a machine lives: until it has said so much, and a moment. */
const MAX_LINES = 400;
const MAX_MOMENT_MS = 50;
/** The disk may have nothing to do for a long time, where nothing is flushed. */
const PATIENCE_MS = 2_000;
export interface Cut extends Findings {
  readonly acknowledged: number;
  readonly receipted: number;
  /** From the first one that is lost to the last one that was acknowledged. */
  readonly lostSteps: number;
}

export class Rig {
  readonly #dir: string;
  readonly #parts: MachineParts;
  readonly #mode: Mode;
  readonly #dice: Dice;
  readonly #history = new History();
  #image: Buffer;
  #step = 0;

  /** `dir` is for the disk; the machine is prepared. */
  constructor(dir: string, parts: MachineParts, mode: Mode, dice: Dice) {
    this.#dir = dir;
    this.#parts = parts;
    this.#mode = mode;
    this.#dice = dice;
    const path = join(dir, 'disk');
    writeFileSync(path, Buffer.alloc(DISK_BYTES));
    execFileSync(MKE2FS, ['-q', '-F', '-t', 'ext4', path]);
    this.#image = readFileSync(path);
  }

  /** One life of the machine, and its end. */
  async cut(): Promise<Cut> {
    const history = this.#history;
    const receiptsBefore = history.receipted.size;
    const { acknowledged, faults, reused } = history.add(await this.#live());
    const receipted = history.receipted.size - receiptsBefore;
    const wrong = [...faults];
    const files = this.#files(wrong);
    this.#step = history.nextStep(this.#step);
    const found = await check(files, this.#mode === 'relaxed' ? 'relaxed' : 'each-commit', this.#step, history);
    wrong.push(...found.wrong);
    const lostSteps = Math.max(0, ...found.lost.map((id) => history.lastStep - history.acknowledged.get(id)! + 1));
    history.forget(found.lost, found.unkept);
    return { ...found, acknowledged, receipted, lostSteps, reused: [...reused, ...found.reused], wrong };
  }

  async #live(): Promise<readonly string[]> {
    const disk = new VolatileDisk(this.#image);
    const machine = await Machine.wake(this.#parts, disk, `${this.#mode} ${this.#step}`);
    try {
      await machine.said(1 + this.#dice.below(MAX_LINES));
      await sleep(this.#dice.below(MAX_MOMENT_MS));
      // half of the cuts right at what the disk does
      if (this.#dice.chance(0.5)) await Promise.race([disk.cutAtNext(this.#dice), sleep(PATIENCE_MS)]);
      if (!disk.dead) disk.cut(this.#dice);
    } finally {
      await machine.kill();
    }
    this.#image = disk.image;
    return machine.lines;
  }

  /** What a file system finds after the power came back: its journal is replayed, then it must be sound. */
  #files(wrong: string[]): string {
    const path = join(this.#dir, 'disk');
    const files = join(this.#dir, 'files');
    writeFileSync(path, this.#image);
    execFileSync(E2FSCK, ['-y', '-E', 'journal_only', path], { stdio: 'ignore' });
    try {
      execFileSync(E2FSCK, ['-f', '-n', path], { encoding: 'utf8', stdio: 'pipe' });
    } catch (error) {
      wrong.push(`the file system: ${(error as { stdout: string }).stdout}`);
    }
    rmSync(files, { recursive: true, force: true });
    mkdirSync(files);
    execFileSync(DEBUGFS, ['-R', `rdump /edgetally ${files}`, path], { stdio: 'ignore' });
    return join(files, 'edgetally');
  }
}
