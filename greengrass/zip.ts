/** A zip of a directory: the same bytes from the same files, whoever makes it and when. */
import { createWriteStream, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';

/** The first that a zip can tell. */
const MADE = new Date(1980, 0, 1);
const EXECUTABLE = 0o111;

/** Only files, no folders inside. `level`: 0 to 9. */
export async function zipDirectory(directory: string, to: string, level: number): Promise<void> {
  const zip = new ZipFile();
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name);
    const mode = (statSync(path).mode & EXECUTABLE) === 0 ? 0o100644 : 0o100755;
    zip.addFile(path, name, { mtime: MADE, forceDosTimestamp: true, mode, compressionLevel: level });
  }
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(to));
}
