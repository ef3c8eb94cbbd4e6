/**
 * The stream between a client's socket and the broker: whole packets pass, are discarded, or end the connection, as
 * `ConnectionLimits` says. Owns the socket: both end together. Backpressure is kept in both directions.
 */

import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { type Frame, FrameSplitter } from './frames.js';
import { type ConnectionLimits, MAX_FRAME_BYTES, type Refusal, type Verdict } from './limits.js';

export interface GuardHooks {
  /** A packet was refused. */
  onRefusal(refusal: Refusal): void;
  /** A packet passed. */
  onPass(frame: Frame, direction: 'in' | 'out'): void;
}

/** How long a closing connection may take to take its last bytes. */
const LINGER_MS = 5000;

export class GuardedConnection extends Duplex {
  readonly #socket: TLSSocket;
  readonly #limits: ConnectionLimits;
  readonly #hooks: GuardHooks;
  readonly #in = new FrameSplitter(MAX_FRAME_BYTES);
  readonly #out = new FrameSplitter(Number.MAX_SAFE_INTEGER);
  /** The subject of the client's certificate. */
  readonly commonName: string;
  /** SHA-256 of that certificate, in hex: what IoT Core calls the principal. */
  readonly principal: string;

  constructor(socket: TLSSocket, limits: ConnectionLimits, hooks: GuardHooks) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#limits = limits;
    this.#hooks = hooks;
    const { subject: names, fingerprint256 = '' } = socket.getPeerCertificate();
    const subject = names?.CN;
    this.principal = fingerprint256.replaceAll(':', '').toLowerCase();
    this.commonName = typeof subject === 'string' ? subject : '';
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', () => this.destroy());
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    let hasRoom = true;
    for (const frame of this.#out.push(chunk)) {
      const verdict = this.#limits.judgeOut(frame, performance.now());
      if (this.#passes(verdict, frame, 'out')) hasRoom = this.#socket.write(frame.bytes);
    }
    if (hasRoom || this.#socket.destroyed) callback();
    else this.#socket.once('drain', () => callback());
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket.setTimeout(LINGER_MS, () => this.#socket.destroy());
    if (error === null) this.#socket.destroySoon();
    else this.#socket.destroy();
    callback(error);
  }

  #take(chunk: Buffer): void {
    for (const frame of this.#in.push(chunk)) {
      const verdict = this.#limits.judgeIn(frame, performance.now());
      if (verdict.action === 'close') {
        this.#refuse(verdict.refusal);
        return;
      }
      if (this.#passes(verdict, frame, 'in') && !this.push(frame.bytes)) this.#socket.pause();
    }
    if (this.#in.broken === 'too-large') this.#refuse('payload-too-large');
    if (this.#in.broken === 'malformed') this.#refuse('malformed');
  }

  #passes(verdict: Verdict, frame: Frame, direction: 'in' | 'out'): boolean {
    if ('refusal' in verdict) this.#hooks.onRefusal(verdict.refusal);
    if (verdict.action !== 'pass') return false;
    this.#hooks.onPass(frame, direction);
    return true;
  }

  #refuse(refusal: Refusal): void {
    this.#hooks.onRefusal(refusal);
    this.#socket.destroy();
  }
}
