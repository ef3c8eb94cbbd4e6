/**
 * The archive in a folder of the same layout, as `aws s3 sync` makes it. The time of arrival is a file's modification time.
 * Only read: a replay from a bucket that was copied.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchivedObject, ArchiveReader } from './archive.js';

export class FolderArchive implements ArchiveReader {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A page is what is in one folder. */
  async *keys(under = ''): AsyncGenerator<readonly string[]> {
    const entries = await readdir(join(this.#folder, under), { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    const keyOf = (name: string) => (under === '' ? name : `${under}/${name}`);
    yield entries.filter((entry) => entry.isFile()).map(({ name }) => keyOf(name));
    for (const entry of entries) if (entry.isDirectory()) yield* this.keys(keyOf(entry.name));
  }

  async get(key: string): Promise<ArchivedObject> {
    const path = join(this.#folder, key);
    const [bytes, { mtimeMs }] = await Promise.all([readFile(path), stat(path)]);
    return { key, bytes, receivedMs: Math.floor(mtimeMs) };
  }

  close(): void {
    // Holds nothing.
  }
}
