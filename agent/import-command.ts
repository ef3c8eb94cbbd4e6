/** `edgetally-agent import` on the terminal: a progress bar, then the uplink until everything has its receipt. */
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { EdgetallyError } from '../shared/errors.js';
import { Agent } from './agent.js';
import type { AgentConfig } from './config.js';
import { formatImportReport, importFile } from './import.js';
import { askStatus, socketPath } from './status.js';
import { type Clock, systemClocks } from './time/clock.js';

const BAR = 30;
const REDRAW_MS = 100;
const POLL_MS = 200;

export async function runImport(config: AgentConfig, file: string, routeName: string, push: boolean): Promise<void> {
  if ((await askStatus(socketPath(config.data))) !== undefined) {
    throw new EdgetallyError('database-locked', `the agent of ${config.data} is running`, {
      hint: 'Stop it, import, and start it again: nothing is lost, sensors with QoS 1 send again.',
    });
  }
  const log = pino({ level: 'warn', base: null }, pino.destination(2));
  const { push: uplink, ...withoutPush } = config;
  const agent = new Agent(push && uplink !== undefined ? { ...withoutPush, push: uplink } : withoutPush, log, 'import');
  const clock = systemClocks();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  try {
    await agent.start();
    const { pipeline } = agent;
    const report = await importFile({
      config,
      routeName,
      file,
      stdin: process.stdin,
      clock,
      signal: stop.signal,
      onProgress: progressBar(file, clock),
      target: {
        find: (fingerprint) => pipeline.buffer.imports.find(fingerprint),
        accept: (message, decoded, progress) => pipeline.acceptImport(message, decoded, progress),
      },
    });
    clearLine();
    console.log(formatImportReport(file, report));
    await pipeline.save('all');
    if (push && uplink !== undefined) await pushed(agent, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    clearLine();
    console.error(`${file}: stopped; the same command goes on from here`);
    process.exitCode = 130;
  } finally {
    await agent.stop();
  }
}

/** Until the cloud has committed everything. */
async function pushed(agent: Agent, signal: AbortSignal): Promise<void> {
  const windows = () => agent.pipeline.buffer.windows.backlogState().windows;
  const total = windows();
  while (windows() > 0) {
    draw(`pushing: ${total - windows()} of ${total} windows have their receipt`);
    await sleep(POLL_MS, undefined, { signal });
  }
  clearLine();
  console.log(`${total} windows pushed, all with their receipt`);
}

function progressBar(file: string, clock: Clock): (progress: { position: number; rows: number }) => void {
  const bytes = file === '-' ? undefined : statSync(file, { throwIfNoEntry: false })?.size;
  let drawnMs = Number.NEGATIVE_INFINITY;
  return ({ position, rows }) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - drawnMs < REDRAW_MS) return;
    drawnMs = nowMs;
    const share = bytes === undefined || bytes === 0 ? undefined : position / bytes;
    const filled = Math.round((share ?? 0) * BAR);
    const bar = share === undefined ? '' : `[${'#'.repeat(filled).padEnd(BAR, '.')}] ${Math.floor(share * 100)} % `;
    draw(`${bar}${rows} rows`);
  };
}

function draw(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${text}`);
}

function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[2K');
}
