/**
 * What `edgetally-agent status` shows. A running agent answers on a socket in its data directory (it has the database
 * for itself); of a stopped one the database is read.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Sample } from './block-builder.js';
import type { Books } from './books.js';
import type { SalvageReport } from './buffer/salvage/report.js';
import type { CertificateState } from './certificates.js';
import type { PushState } from './push/push.js';
import type { SourceState } from './reading.js';
import type { BacklogState } from './stored-window.js';
import type { ClockState } from './time/time-keeper.js';
import type { WriteState } from './write-budget.js';

/** A window that cannot be delivered, and why. */
export interface RefusedState {
  readonly group: string;
  readonly device: string;
  readonly startMs: number;
  readonly lengthMs: number;
  readonly reason: string;
  readonly detail: string;
  readonly atMs: number;
}

export interface AgentStatus {
  readonly v: 1;
  readonly gateway: string;
  readonly running: boolean;
  readonly version: string;
  readonly epoch: string;
  readonly timeMs: number;
  readonly runningMs: number | null;
  /** Whether the wall clock is believed; null where the agent does not run. */
  readonly clock: ClockState | null;
  readonly books: Books;
  /** Of the readings that are held: from the future; without a time of their own while nobody knows the time. */
  readonly held: { readonly future: number; readonly undated: number };
  /** Readings that could not be made durable and were not acknowledged, since the start. */
  readonly refused: number;
  readonly backlog: BacklogState;
  /** Windows that are still gathering readings. */
  readonly openWindows: number;
  readonly disk: {
    readonly bytes: number;
    readonly maxBytes: number;
    readonly journalBytes: number;
    /** The data directory is on a tmpfs: promises end with the power. */
    readonly inMemory: boolean;
  };
  /** What the agent writes to the disk; null where it does not run, or the system does not tell. */
  readonly writes: WriteState | null;
  readonly push: PushState | null;
  /** Of the uplink; null where it needs none, or none can be read. */
  readonly certificate: CertificateState | null;
  /** Rows whose bytes changed on the disk and that were set aside, by their table. */
  readonly damaged: Readonly<Record<string, number>>;
  /** Damaged databases that were salvaged, the latest last: what could be read, and what was lost. */
  readonly salvaged: readonly SalvageReport[];
  /** Files of those that are still there; nobody deletes them but the operator. */
  readonly setAside: readonly { readonly file: string; readonly bytes: number }[];
  readonly refusedWindows: {
    readonly byReason: Readonly<Record<string, number>>;
    readonly latest: readonly RefusedState[];
  };
  readonly sources: readonly SourceState[];
  readonly quarantine: readonly (Omit<Sample, 'payload'> & { readonly payload: string })[];
}

/** sockaddr_un holds 108 bytes on Linux, 104 elsewhere, with the zero at the end. */
const MAX_SOCKET_PATH = 103;

export function socketPath(dataDirectory: string): string {
  const path = resolve(dataDirectory, 'agent.sock');
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path;
  const digest = createHash('sha256').update(path).digest('hex').slice(0, 32);
  return join(tmpdir(), `edgetally-${digest}.sock`);
}

/** Answers each connection with one line of JSON, or with nothing while there is none. */
export async function serveStatus(path: string, status: () => AgentStatus | undefined): Promise<Server> {
  rmSync(path, { force: true }); // of an agent that was killed; a living one holds the lock on the database
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    const now = status();
    socket.end(now === undefined ? '' : `${JSON.stringify(now)}\n`);
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

/** The status of the running agent; undefined where none runs. */
export async function askStatus(path: string): Promise<AgentStatus | undefined> {
  const socket = connect(path);
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const line = Buffer.concat(chunks).toString();
    return line.endsWith('\n') ? (JSON.parse(line) as AgentStatus) : undefined; // it was killed while it spoke
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ECONNRESET') return undefined;
    throw error;
  } finally {
    socket.destroy();
  }
}
