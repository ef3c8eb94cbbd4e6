/** What the demo shows: a few lines that are redrawn on a terminal, or a plain line every few seconds elsewhere. */

import type { LinkState } from './link.js';

/** All that is shown; what is not known yet is undefined. */
export interface View {
  readonly phase: string;
  readonly elapsedMs: number;
  readonly link: LinkState;
  readonly devices: number;
  readonly sensors?: {
    readonly messages: number;
    readonly late: number;
    readonly duplicates: number;
    readonly unacknowledged: number;
  };
  readonly gateway?: {
    readonly in: number;
    readonly counted: number;
    readonly duplicate: number;
    readonly rejected: number;
    readonly held: number;
    readonly openWindows: number;
    readonly backlogWindows: number;
    readonly backlogBytes: number;
    readonly uplink: string;
    readonly receipted: number;
    readonly sent: number;
    readonly sentAgain: number;
  };
  readonly cloud?: { readonly batches: number };
}

export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const REDRAW_MS = 250;
const PLAIN_MS = 3000;
const ESC = '\u001b[';

/** Shows a view again and again until stopped; the last one stays. */
export class Screen {
  readonly #output: Output;
  readonly #view: () => View;
  #timer: NodeJS.Timeout | undefined;
  #drawn = 0;
  #last = { phase: '', elapsedMs: 0 };

  constructor(output: Output, view: () => View) {
    this.#output = output;
    this.#view = view;
  }

  start(): void {
    this.#draw();
    this.#timer = setInterval(() => {
      if (this.#output.isTTY === true || this.#isNews()) this.#draw();
    }, REDRAW_MS);
  }

  /** Idempotent. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#draw();
  }

  /** A plain line is due: something else happens now, or some time has passed. */
  #isNews(): boolean {
    const { phase, elapsedMs } = this.#view();
    return phase !== this.#last.phase || elapsedMs - this.#last.elapsedMs >= PLAIN_MS;
  }

  #draw(): void {
    const view = this.#view();
    this.#last = view;
    if (this.#output.isTTY !== true) {
      this.#output.write(`${plainLine(view)}\n`);
      return;
    }
    const width = Math.max(20, (this.#output.columns ?? 80) - 1);
    const lines = screenLines(view).map((line) => line.slice(0, width)); // a wrapped line would be drawn over wrongly
    const up = this.#drawn > 0 ? `${ESC}${this.#drawn}A` : '';
    this.#output.write(`${up}${lines.map((line) => `\r${ESC}2K${line}\n`).join('')}`);
    this.#drawn = lines.length;
  }
}

export function screenLines(view: View): string[] {
  const { sensors, gateway, cloud } = view;
  const link = view.link === 'up' ? 'up' : view.link.toUpperCase();
  return [
    `${seconds(view.elapsedMs).padStart(5)}  ${view.phase}`,
    row(
      'sensors',
      sensors && [
        `${count(sensors.messages)} readings of ${count(view.devices)} devices, ${count(sensors.late)} of them late`,
        `${count(sensors.duplicates)} sent twice, ${count(sensors.unacknowledged)} without PUBACK`,
      ],
    ),
    row(
      'gateway',
      gateway && [
        `${count(gateway.in)} in = ${count(gateway.counted)} counted + ${count(gateway.duplicate)} duplicate`,
        `${count(gateway.rejected)} rejected + ${count(gateway.held)} held`,
      ],
      ' + ',
    ),
    row(
      'backlog',
      gateway && [
        `${count(gateway.backlogWindows)} windows (${kilobytes(gateway.backlogBytes)})`,
        `${count(gateway.openWindows)} still open`,
      ],
    ),
    row('link', [link, ...(gateway === undefined ? [] : [`the gateway finds it ${gateway.uplink}`])]),
    row(
      'cloud',
      gateway && [
        `${count(cloud?.batches ?? 0)} batches committed of ${count(gateway.sent)} sent (${count(gateway.sentAgain)} again)`,
        `receipts for ${count(gateway.receipted)} windows`,
      ],
    ),
  ];
}

export function plainLine(view: View): string {
  const { sensors, gateway, cloud } = view;
  const parts = [
    `${seconds(view.elapsedMs)} ${view.phase}`,
    `link ${view.link}`,
    sensors && `sent ${count(sensors.messages)} (+${count(sensors.duplicates)} twice)`,
    gateway &&
      `gateway in ${count(gateway.in)}, counted ${count(gateway.counted)}, duplicate ${count(gateway.duplicate)}`,
    gateway && `backlog ${count(gateway.backlogWindows)}`,
    gateway && `receipts ${count(gateway.receipted)}`,
    cloud && `cloud batches ${count(cloud.batches)}`,
  ];
  return parts.filter((part) => part !== undefined).join(' | ');
}

/** The rows of a report, a few columns of it, as fit on one screen. */
export function reportTable(reportJson: string, keys: readonly string[]): string {
  const { rows } = JSON.parse(reportJson) as { rows: Record<string, string | number | null>[] };
  const columns = [...keys, 'metric', 'count', 'mean', 'stddev', 'p50', 'p95', 'max'];
  const table = [columns, ...rows.map((found) => columns.map((column) => cell(found[column] ?? null)))];
  const widths = columns.map((_, index) => Math.max(...table.map((cells) => (cells[index] ?? '').length)));
  const isText = (index: number): boolean => index <= keys.length;
  const line = (cells: readonly string[]): string =>
    cells
      .map((text, index) => (isText(index) ? text.padEnd(widths[index] ?? 0) : text.padStart(widths[index] ?? 0)))
      .join('  ');
  return table.map(line).join('\n');
}

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

function cell(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  if (Number.isInteger(value)) return count(value);
  const rounded = Number(value.toPrecision(5));
  return Math.abs(rounded) >= 1000 ? count(rounded) : String(rounded);
}

function row(label: string, parts: readonly string[] | undefined, join = ', '): string {
  return `  ${label.padEnd(8)} ${parts === undefined ? '…' : parts.join(join)}`;
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1000)} s`;
}

function kilobytes(bytes: number): string {
  return `${count(Math.round(bytes / 1000))} kB`;
}
