/**
 * SVG as text: elements, and one look for all plots, readable on light and on dark ground. Colours are classes, so that the
 * reader's scheme decides. Knows no data.
 */

export type Attributes = Readonly<Record<string, string | number>>;

/** Roles of colour: ours stands out, yardsticks step back. */
export type Tone = 'ours' | 'second' | 'third' | 'other' | 'yardstick';

const LIGHT = { ground: '#ffffff', text: '#1f2328', soft: '#59636e', grid: '#d8dee4' };
const DARK = { ground: '#0d1117', text: '#f0f6fc', soft: '#9198a1', grid: '#30363d' };
const TONES: Readonly<Record<Tone, readonly [light: string, dark: string]>> = {
  ours: ['#0969da', '#58a6ff'],
  second: ['#bc4c00', '#f0883e'],
  third: ['#1a7f37', '#3fb950'],
  other: ['#8c959f', '#6e7681'],
  yardstick: ['#6e7781', '#8b949e'],
};

export function element(name: string, attributes: Attributes, content = ''): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${attribute(value)}"`);
  return `<${name}${written.join('')}${content === '' ? '/>' : `>${content}</${name}>`}`;
}

export function text(content: string, x: number, y: number, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escaped(content));
}

export function svg(width: number, height: number, label: string, content: readonly string[]): string {
  const head = { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height };
  const ground = element('rect', { class: 'ground', width: '100%', height: '100%', rx: 6 });
  const body = [element('style', {}, style()), ground, ...content].join('\n');
  return `${element('svg', { ...head, role: 'img', 'aria-label': label }, `\n${body}\n`)}\n`;
}

function style(): string {
  const fonts = "font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
  return `
text { ${fonts}; }
.title { font-size: 15px; font-weight: 600; }
.name { font-weight: 600; }
path.line { fill: none; stroke-width: 2; }
.yardstick.line { stroke-dasharray: 5 4; }
${scheme(LIGHT, 0)}
@media (prefers-color-scheme: dark) {
${scheme(DARK, 1)}
}
`;
}

function scheme({ ground, text: ink, soft, grid }: typeof LIGHT, which: 0 | 1): string {
  const tones = Object.entries(TONES).flatMap(([tone, colours]) => [
    `.${tone} { fill: ${colours[which]}; }`,
    `path.${tone} { stroke: ${colours[which]}; }`,
  ]);
  return [
    `.ground { fill: ${ground}; }`,
    `text { fill: ${ink}; }`,
    `text.soft { fill: ${soft}; }`,
    `.grid { stroke: ${grid}; }`,
    ...tones,
    'path.line { fill: none; }',
  ].join('\n');
}

function attribute(value: string | number): string {
  return typeof value === 'number' ? String(Number(value.toFixed(2))) : escaped(value).replaceAll('"', '&quot;');
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
