/** Whether what is written into a directory outlives the power. */
import { statfsSync } from 'node:fs';

/** f_type of file systems that are memory: tmpfs, ramfs. */
const IN_MEMORY: readonly number[] = [0x01021994, 0x858458f6];

export function isInMemory(directory: string): boolean {
  try {
    return IN_MEMORY.includes(statfsSync(directory).type);
  } catch {
    return false; // it is not there yet
  }
}

/** In words; undefined where there is nothing to warn of. */
export function inMemoryWarning(directory: string): string | undefined {
  if (!isInMemory(directory)) return undefined;
  return `${directory} is in memory (tmpfs): a power cut or a restart of the machine takes what was acknowledged and has no receipt yet`;
}
