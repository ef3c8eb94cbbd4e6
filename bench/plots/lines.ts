/** A plot of lines with a point for each measurement, each line named at its end. Pure: data in, SVG out. */
import { type Scale, type ScaleKind, scaleOf, tickText } from './scale.js';
import { element, svg, type Tone, text } from './svg.js';

export interface Axis {
  /** With its unit. */
  readonly label: string;
  readonly scale: ScaleKind;
}

export interface Line {
  readonly name: string;
  readonly tone: Tone;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LinesPlot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
  /** The machine, versions and commit of the measurement. */
  readonly measured: string;
}

const WIDTH = 760;
const HEIGHT = 400;
const LEFT = 62;
const RIGHT = WIDTH - 182;
const TOP = 72;
const BOTTOM = HEIGHT - 66;
const NAME_HEIGHT = 16;

export function linesPlot(plot: LinesPlot): string {
  const points = plot.lines.flatMap((line) => line.points);
  const x = scaleOf(
    plot.x.scale,
    points.map((point) => point[0]),
    LEFT,
    RIGHT,
  );
  const y = scaleOf(
    plot.y.scale,
    points.map((point) => point[1]),
    BOTTOM,
    TOP,
  );
  return svg(WIDTH, HEIGHT, plot.title, [
    text(plot.title, 20, 28, { class: 'title' }),
    text(plot.y.label, 20, 50, { class: 'soft' }),
    ...y.ticks.map((tick) => grid(LEFT, y.at(tick), RIGHT, y.at(tick))),
    ...y.ticks.map((tick) => text(tickText(tick), LEFT - 8, y.at(tick) + 4, { class: 'soft', 'text-anchor': 'end' })),
    ...x.ticks.map((tick) => grid(x.at(tick), BOTTOM, x.at(tick), BOTTOM + 5)),
    ...x.ticks.map((tick) => text(tickText(tick), x.at(tick), BOTTOM + 20, { class: 'soft', 'text-anchor': 'middle' })),
    text(plot.x.label, (LEFT + RIGHT) / 2, BOTTOM + 38, { 'text-anchor': 'middle' }),
    text(plot.measured, 20, HEIGHT - 10, { class: 'soft', style: 'font-size: 10px' }),
    ...plot.lines.map((line) => drawn(line, x, y)),
    ...names(plot.lines, x, y),
  ]);
}

function grid(x1: number, y1: number, x2: number, y2: number): string {
  return element('line', { class: 'grid', x1, y1, x2, y2 });
}

function drawn({ tone, points }: Line, x: Scale, y: Scale): string {
  const places = points.map((point) => [x.at(point[0]), y.at(point[1])] as const);
  const d = places.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${px.toFixed(1)} ${py.toFixed(1)}`).join('');
  const dots = places.map(([cx, cy]) => element('circle', { class: tone, cx, cy, r: 3.5 }));
  return [element('path', { class: `line ${tone}`, d }), ...dots].join('\n');
}

/** Beside the ends of the lines, pushed apart where they would overlap. */
function names(lines: readonly Line[], x: Scale, y: Scale): string[] {
  const end = Math.max(...lines.map(({ points }) => x.at(points.at(-1)![0])));
  const placed = lines
    .map(({ name, tone, points }) => ({ name, tone, y: y.at(points.at(-1)![1]) + 4 }))
    .toSorted((a, b) => a.y - b.y);
  for (const [i, one] of placed.entries()) {
    if (i > 0) one.y = Math.max(one.y, placed[i - 1]!.y + NAME_HEIGHT);
  }
  return placed.map(({ name, tone, y: height }) => text(name, end + 10, height, { class: `name ${tone}` }));
}
