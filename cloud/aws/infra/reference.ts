/** The part of docs/aws.md that follows from the template: parameters and outputs. Written by `npm run aws:synth`. Pure. */
import type { Template } from './template.js';

/** Path of the page, from the root of the repository. */
export const PAGE_PATH = 'docs/aws.md';

const BEGIN = '<!-- written by npm run aws:synth -->\n';
const END = '<!-- until here -->\n';

/** The page with its part brought up to date; throws where the page has no place for it. */
export function withReference(page: string, template: Template): string {
  const [before, rest, ...more] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined || more.length > 0) throw new Error(`${PAGE_PATH}: its place for the reference is gone`);
  return `${before}${BEGIN}${reference(template)}${END}${after}`;
}

function reference({ Parameters, Outputs }: Template): string {
  const parameters = Object.entries(Parameters).map(([name, { Default, Description, ...limits }]) => {
    const values = limits.AllowedValues;
    const choice = values === undefined ? '' : ` One of ${values.map((value) => `\`${value}\``).join(', ')}.`;
    return `| \`${name}\` | ${presetText(Default)} | ${Description}${choice} |\n`;
  });
  const outputs = Object.entries(Outputs).map(([name, { Description }]) => `| \`${name}\` | ${Description} |\n`);
  return `
| parameter | default | |
|---|---|---|
${parameters.join('')}
## Outputs

| output | |
|---|---|
${outputs.join('')}
`;
}

function presetText(preset: unknown): string {
  if (preset === undefined) return 'must be given';
  return preset === '' ? 'empty' : `\`${preset}\``;
}
