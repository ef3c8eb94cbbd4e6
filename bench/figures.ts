/**
 * What a stage of the benchmark finds out, how it is compared, and how it is shown.
 *
 * A figure is ours beside a yardstick that was measured in the same run, in turns (A B A B …), so that whatever else the
 * machine does hits both alike. Absolute figures move with the machine; the ratio should not, and only it is ever judged.
 */

export interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  /** What it is held against, measured in the same run. */
  readonly yardstick?: { readonly is: string; readonly value: number };
  /** Ours ÷ yardstick: the median of the turns, not the quotient of two medians. */
  readonly ratio?: number;
  readonly better: 'more' | 'less';
  /** For people: what we aim at. */
  readonly target?: string;
  /** CPU time of the process under test for one `per`, µs. */
  readonly cpuUs?: number;
  readonly rssBytes?: number;
  readonly note?: string;
  /** Compared with its recorded value in CI: only ratios that hold still on a busy machine. */
  readonly gate?: boolean;
}

export interface StageContext {
  /** The minute-long form. */
  readonly ci: boolean;
  /** A directory of the stage's own, on a real disk. */
  readonly dir: string;
}

export interface Stage {
  readonly name: string;
  readonly about: string;
  /** Part of the minute-long form. */
  readonly ci: boolean;
  run(context: StageContext): Promise<readonly Figure[]>;
}

/** Something that is measured by name only, and writes a page of its own. */
export interface Study {
  readonly name: string;
  readonly about: string;
  run(context: Pick<StageContext, 'dir'>): Promise<void>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export interface Turns {
  readonly ours: number;
  readonly yardstick: number;
  readonly ratio: number;
}

/** Measures both in turns; the first turn of each warms up and is forgotten. */
export async function inTurns(
  turns: number,
  ours: () => number | Promise<number>,
  yardstick: () => number | Promise<number>,
): Promise<Turns> {
  const pairs: { ours: number; yardstick: number }[] = [];
  for (let turn = 0; turn <= turns; turn++) {
    const pair = { ours: await ours(), yardstick: await yardstick() };
    if (turn > 0) pairs.push(pair);
  }
  return {
    ours: median(pairs.map((pair) => pair.ours)),
    yardstick: median(pairs.map((pair) => pair.yardstick)),
    ratio: median(pairs.map((pair) => pair.ours / pair.yardstick)),
  };
}

/**
 * CPU time of this process that `work` took, in ns for each of `count`: being made to wait by others does not show. Short
 * work is repeated for `atLeastMs`, since the kernel counts coarsely.
 */
export function cpuNs(count: number, work: () => void, atLeastMs = 0): number {
  const before = process.cpuUsage();
  for (let times = 1; ; times++) {
    work();
    const { user, system } = process.cpuUsage(before);
    if (user + system >= atLeastMs * 1000) return ((user + system) * 1000) / count / times;
  }
}

const HEADER = ['what', 'unit', 'ours', 'yardstick', 'ratio', 'CPU µs', 'RSS MB', 'target'];

export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    figure.unit,
    shown(figure.ours),
    figure.yardstick === undefined ? '' : `${shown(figure.yardstick.value)} (${figure.yardstick.is})`,
    figure.ratio === undefined ? '' : figure.ratio.toFixed(2),
    figure.cpuUs === undefined ? '' : shown(figure.cpuUs),
    figure.rssBytes === undefined ? '' : shown(figure.rssBytes / 1e6),
    [figure.target, figure.note].filter((text) => text !== undefined).join('; '),
  ]);
  return tableRows(HEADER, rows);
}

export function tableRows(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** Three digits, or whole. */
export function shown(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.1) return value.toPrecision(2);
  if (Math.abs(value) < 100) return String(Number(value.toPrecision(3)));
  return Math.round(value).toLocaleString('en').replaceAll(',', ' ');
}

/** What of these is clearly worse than it was recorded: a ratio, never a time. */
export function regressions(
  stage: string,
  figures: readonly Figure[],
  recorded: Readonly<Record<string, number>>,
): string[] {
  return figures.flatMap((figure) => {
    const { name, ratio, gate, better } = figure;
    const before = recorded[`${stage}: ${name}`];
    if (gate !== true || ratio === undefined || before === undefined) return [];
    const kept = better === 'more' ? ratio / before : before / ratio;
    return kept >= KEPT ? [] : [`${stage}: ${name}: ratio ${ratio.toFixed(2)}, recorded ${before.toFixed(2)}`];
  });
}

/** What a busy machine may take of a ratio before it counts as worse. */
const KEPT = 0.6;
