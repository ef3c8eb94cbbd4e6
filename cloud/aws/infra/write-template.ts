/** `npm run aws:synth`: writes the template that is committed, and its reference in the documentation. Says what the built-in validator finds, and fails on it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PAGE_PATH, withReference } from './reference.js';
import { synthesize, TEMPLATE_PATH, templateText } from './template.js';

const outdir = mkdtempSync(join(tmpdir(), 'edgetally-synth-'));
try {
  const { template, findings } = synthesize(outdir);
  for (const finding of findings) console.error(finding);
  if (findings.length > 0) process.exitCode = 1;
  writeFileSync(TEMPLATE_PATH, templateText(template));
  writeFileSync(PAGE_PATH, withReference(readFileSync(PAGE_PATH, 'utf8'), template));
} finally {
  rmSync(outdir, { recursive: true });
}
