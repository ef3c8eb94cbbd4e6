/**
 * A file of zeros beside the database, given up when somebody else has filled the disk. SQLite needs room even to delete
 * (its log grows first); with the ballast gone receipts can be written and the backlog drains, while intake waits until
 * there is room again. Never for a database that reached its own cap: that is a different fullness.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { EdgetallyError } from '../../shared/errors.js';

const BALLAST_BYTES = 4 * 1024 * 1024;
/** Intake goes on when there is room for the ballast and as much again. */
const RESUME_BYTES = 2 * BALLAST_BYTES;
const CHUNK = new Uint8Array(64 * 1024);

export class Ballast {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** True where the disk, and not only the database, is full. */
  get diskIsFull(): boolean {
    return freeBytes(dirname(this.#path)) < RESUME_BYTES;
  }

  get isThere(): boolean {
    return existsSync(this.#path);
  }

  /** Takes the room, where there is enough to spare; real zeros, so that no file system can promise them twice. */
  take(): void {
    if (this.isThere || this.diskIsFull) return;
    const temporary = `${this.#path}.new`;
    try {
      const file = openSync(temporary, 'w');
      try {
        for (let written = 0; written < BALLAST_BYTES; written += CHUNK.length) writeSync(file, CHUNK);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, this.#path);
    } catch {
      rmSync(temporary, { force: true }); // no room after all; the next attempt comes
    }
  }

  /** While it is gone, room is for receipts, and intake waits: throws where it cannot be taken again. */
  keep(): void {
    if (this.isThere) return;
    if (!this.diskIsFull) this.take();
    else throw new EdgetallyError('database-failed', `${this.#path}: the disk is full; intake waits for room`);
  }

  /** Gives the room back. */
  drop(): void {
    rmSync(this.#path, { force: true });
  }
}

function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
