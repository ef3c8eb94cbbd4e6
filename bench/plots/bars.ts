/** A plot of bars: a row for each thing compared, a column for each figure. Pure: data in, SVG out. */
import { type ScaleKind, scaleOf } from './scale.js';
import { element, svg, type Tone, text } from './svg.js';

export interface Column {
  /** With its unit, and which end is the better one. */
  readonly label: string;
  readonly scale: ScaleKind;
  /** A row each. */
  readonly values: readonly number[];
  /** What is written beside the bar of a row. */
  readonly shown: readonly string[];
}

export interface BarsPlot {
  readonly title: string;
  readonly rows: readonly { readonly name: string; readonly tone: Tone }[];
  readonly columns: readonly Column[];
  readonly measured: string;
}

const WIDTH = 900;
const NAMES = 236;
const TOP = 76;
const ROW = 30;
const BAR = 16;
/** Kept free beside a bar for its figure. */
const FIGURE = 62;

export function barsPlot({ title, rows, columns, measured }: BarsPlot): string {
  const height = TOP + rows.length * ROW + 34;
  const width = (WIDTH - NAMES - 10) / columns.length;
  return svg(WIDTH, height, title, [
    text(title, 20, 28, { class: 'title' }),
    ...rows.map(({ name, tone }, row) => text(name, 20, middle(row) + 4, tone === 'ours' ? { class: 'name' } : {})),
    ...columns.flatMap((column, i) => drawn(column, rows, NAMES + i * width, width)),
    text(measured, 20, height - 10, { class: 'soft', style: 'font-size: 10px' }),
  ]);
}

const middle = (row: number) => TOP + row * ROW + ROW / 2;

function drawn(
  { label, scale: kind, values, shown }: Column,
  rows: BarsPlot['rows'],
  x: number,
  width: number,
): string[] {
  // a bar needs a length: on a log scale it begins a step below the least value
  const range = kind === 'log' ? [...values, Math.min(...values) / 2] : values;
  const scale = scaleOf(kind, range, 0, width - FIGURE - 14);
  return [
    text(label, x, TOP - 14, { class: 'soft' }),
    ...values.flatMap((value, row) => {
      const length = Math.max(1, scale.at(value));
      const bar = { class: rows[row]!.tone, x, y: middle(row) - BAR / 2, width: length, height: BAR, rx: 2 };
      return [element('rect', bar), text(shown[row]!, x + length + 6, middle(row) + 4)];
    }),
  ];
}
