/**
 * Batches on the wire: bytes and ns for each metric summary, with and without its sketch. Yardstick: the same numbers as
 * JSON arrays, deflated. And what all of it saves against every reading as JSON over MQTT.
 */
import { deflateRawSync } from 'node:zlib';
import { decodeBatch, encodeBatch } from '../shared/batch.js';
import { BitWriter } from '../shared/bits.js';
import { writeSketch } from '../shared/sketch-codec.js';
import { CALM, LIVELY, typicalBatch, typicalWindows } from '../shared/typical.js';
import type { WindowSummary } from '../shared/window.js';
import { cpuNs, type Figure, inTurns, type Stage } from './figures.js';
import { deviceTopic, PAYLOAD_BYTES } from './traffic.js';

const DEVICES = 200;
const READINGS = 60;
/** Fixed header, lengths and packet id of a PUBLISH, and its PUBACK. */
const MQTT_BYTES = 7 + 4;

export const wire: Stage = {
  name: 'wire',
  about: 'batches of 200 devices × 5 metrics, one minute at 1 Hz',
  ci: true,
  async run({ ci }) {
    const turns = ci ? 5 : 15;
    const calm = await kind('calm', typicalWindows({ sensors: CALM, devices: DEVICES, readings: READINGS }), turns);
    const lively = await kind(
      'lively',
      typicalWindows({ sensors: LIVELY, devices: DEVICES, readings: READINGS }),
      turns,
    );
    return [...calm, ...lively];
  },
};

/** Bytes of a metric summary in one batch of these windows, without and with its sketch, beside JSON. */
export function bytesASummary(windows: readonly WindowSummary[]) {
  const count = windows.reduce((sum, { metrics }) => sum + metrics.size, 0);
  const full = encodeBatch(typicalBatch(windows)).length;
  return {
    bare: (full - sketchBytes(windows)) / count,
    full: full / count,
    jsonBare: asJson(windows, false).length / count,
    jsonFull: asJson(windows, true).length / count,
  };
}

async function kind(name: string, windows: readonly WindowSummary[], turns: number): Promise<Figure[]> {
  const batch = typicalBatch(windows);
  const count = windows.reduce((sum, { metrics }) => sum + metrics.size, 0);
  const bytes = encodeBatch(batch);
  const each = bytesASummary(windows);
  const raw = windows.length * READINGS * (PAYLOAD_BYTES + deviceTopic(0).length + MQTT_BYTES);
  const packing = await inTurns(
    turns,
    () => cpuNs(count, () => encodeBatch(batch), 40),
    () => cpuNs(count, () => asJson(windows, true), 40),
  );
  const reading = await inTurns(
    turns,
    () => cpuNs(count, () => decodeBatch(bytes), 40),
    () => cpuNs(count, () => asJson(windows, true), 40),
  );
  const less = 'less' as const;
  const json = 'JSON + deflate';
  const size = (ours: number, yardstick: number) => ({
    unit: 'B',
    ours,
    yardstick: { is: json, value: yardstick },
    ratio: ours / yardstick,
    better: less,
    gate: true,
  });
  return [
    { name: `a summary without sketch, ${name}`, ...size(each.bare, each.jsonBare), target: '≤ 8 B' },
    { name: `a summary with sketch, ${name}`, ...size(each.full, each.jsonFull), target: '≤ 24 B' },
    time(`encoding a summary, ${name}`, packing, json),
    time(`decoding a summary, ${name}`, reading, `${json}, encoding`),
    {
      name: `upstream against raw JSON, ${name}`,
      unit: 'times fewer bytes',
      ours: raw / (bytes.length + deviceTopic(0).length + MQTT_BYTES),
      better: 'more',
      target: '≥ 60',
    },
  ];
}

function time(name: string, ns: { ours: number; yardstick: number; ratio: number }, is: string): Figure {
  const yardstick = { is, value: ns.yardstick };
  return {
    name,
    unit: 'ns',
    ours: ns.ours,
    yardstick,
    ratio: ns.ratio,
    better: 'less',
    cpuUs: ns.ours / 1000,
    gate: true,
  };
}

function sketchBytes(windows: readonly WindowSummary[]): number {
  const bits = new BitWriter(1024);
  for (const { metrics } of windows) {
    for (const summary of metrics.values()) if (summary.min !== summary.max) writeSketch(bits, summary);
  }
  return bits.bytes().length;
}

/** What a program without a format of its own would send. */
function asJson(windows: readonly WindowSummary[], withSketch: boolean): Buffer {
  const rows = windows.map(({ group, device, startMs, metrics }) => [
    group,
    device,
    startMs,
    [...metrics].map(([metric, { n, sums, min, max, first, last, sketch }]) => {
      const power = 10 ** sums.scale;
      const row: unknown[] = [metric, n, Number(sums.sum) / power, Number(sums.sumSq) / power ** 2, min, max];
      row.push(first.timeUs / 1000 - startMs, first.value, last.timeUs / 1000 - startMs, last.value);
      if (withSketch) row.push([...sketch.keys].map((key, i) => [key, sketch.counts[i]]));
      return row;
    }),
  ]);
  return deflateRawSync(JSON.stringify(rows));
}
