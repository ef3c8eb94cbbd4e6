/** The licences of what a bundle contains, as they ask for: one text file. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { ROOT } from '../test/needs.js';

export function noticesOf({ inputs }: Metafile): string {
  const found = Object.keys(inputs).flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []);
  return [...new Set(found)].sort().map(noticeOf).join('\n');
}

function noticeOf(directory: string): string {
  const path = join(ROOT, directory);
  const about = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Record<string, unknown>;
  const file = readdirSync(path).find((name) => /^licen[cs]e/i.test(name));
  const text = file === undefined ? `Licence: ${String(about.license)}\n` : readFileSync(join(path, file), 'utf8');
  return `${'='.repeat(80)}\n${String(about.name)} ${String(about.version)}\n\n${text.trim()}\n`;
}
