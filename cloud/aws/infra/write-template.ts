/** `npm run aws:synth`: writes the template that is committed. Says what the built-in validator finds, and fails on it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { synthesize, TEMPLATE_PATH, templateText } from './template.js';

const outdir = mkdtempSync(join(tmpdir(), 'edgetally-synth-'));
try {
  const { template, findings } = synthesize(outdir);
  for (const finding of findings) console.error(finding);
  if (findings.length > 0) process.exitCode = 1;
  writeFileSync(TEMPLATE_PATH, templateText(template));
} finally {
  rmSync(outdir, { recursive: true });
}
