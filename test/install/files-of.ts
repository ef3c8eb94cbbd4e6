/** Every file and directory below a root but those that a system writes by itself, as it sees them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** What a running system, apt and dpkg keep of their own, whatever is installed. */
const OF_THE_SYSTEM =
  /^\/(dev|proc|run|sys|tmp|srv\/shared|var\/(cache|log|tmp|lib\/(apt|dpkg|systemd\/(timers|linger)))|etc\/(passwd|shadow|group|gshadow|subuid|subgid)-)($|\/)/;

export function filesOf(root: string): string[] {
  const found: string[] = [];
  const visit = (directory: string): void => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`;
      if (OF_THE_SYSTEM.test(path)) continue;
      found.push(path);
      if (entry.isDirectory()) visit(path);
    }
  };
  visit('');
  return found.sort();
}
