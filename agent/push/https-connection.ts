/**
 * HTTPS with a client certificate, as if it were a connection: up once a TLS handshake went well, over when a request fails.
 * Holds a few sockets, and what is being sent on them.
 */
import { Agent, type RequestOptions, request } from 'node:https';
import { type ConnectionOptions, connect, type SecureContextOptions } from 'node:tls';
import { EdgetallyError } from '../../shared/errors.js';
import type { MqttEnd } from '../../shared/mqtt-reasons.js';
import type { Granted } from '../mqtt/connection.js';
import type { Connection } from '../mqtt/lifecycle.js';

export interface HttpsOptions {
  readonly origin: URL;
  readonly tls: SecureContextOptions;
  /** What is asked for in the TLS handshake. */
  readonly alpn: string | undefined;
  readonly timeoutMs: number;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

const SOCKETS = 4;
/** No answer that we ask for is longer. */
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_WORDS = 200;

export class HttpsConnection implements Connection {
  readonly up: Promise<Granted | undefined>;
  readonly ended: Promise<MqttEnd>;
  readonly #options: HttpsOptions;
  readonly #agent: Agent;
  readonly #over = new AbortController();
  #end!: (error: unknown) => void;
  #wasUp = false;
  #pending = 0;
  #closing = false;

  /** Starts the handshake. */
  constructor(options: HttpsOptions) {
    const { tls, alpn, origin, timeoutMs } = options;
    this.#options = options;
    const settings = { ...tls, ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }) };
    this.#agent = new Agent({ ...settings, keepAlive: true, maxSockets: SOCKETS, timeout: timeoutMs });
    this.ended = new Promise((resolve) => {
      this.#end = (error) => {
        this.#over.abort();
        this.#agent.destroy();
        resolve({ error, reasonCode: undefined, wasUp: this.#wasUp && error === undefined });
      };
    });
    this.up = this.#handshake({ ...settings, host: hostOf(origin), port: Number(origin.port || 443) });
  }

  end(force: boolean): void {
    this.#closing = true;
    if (force || this.#pending === 0) this.#end(undefined);
  }

  /** Resolves on 200; anything else ends the connection, and rejects. */
  async post(path: string, payload: Uint8Array): Promise<void> {
    this.#pending++;
    try {
      const answer = await this.#ask('POST', path, payload);
      if (answer.status !== 200) throw refusal(this.#options.origin.host, answer);
    } catch (error) {
      this.#end(error);
      throw error;
    } finally {
      this.#pending--;
      if (this.#closing && this.#pending === 0) this.#end(undefined);
    }
  }

  #handshake(options: ConnectionOptions & { host: string }): Promise<Granted | undefined> {
    return new Promise((resolve) => {
      const { timeoutMs } = this.#options;
      const isName = !/^[\d.]+$|:/.test(options.host);
      const socket = connect({ ...options, ...(isName ? { servername: options.host } : {}) });
      const failed = (error: unknown): void => {
        socket.destroy();
        this.#end(error);
        resolve(undefined);
      };
      socket.setTimeout(timeoutMs, () => failed(new EdgetallyError('link-refused', `${options.host}: no answer`)));
      socket.once('error', failed);
      socket.once('close', () => failed(undefined));
      this.#over.signal.addEventListener('abort', () => socket.destroy());
      socket.once('secureConnect', () => {
        this.#wasUp = true;
        socket.removeAllListeners('close');
        socket.on('error', () => undefined);
        socket.end();
        resolve({ sessionPresent: false });
      });
    });
  }

  #ask(method: RequestOptions['method'], path: string, payload: Uint8Array): Promise<Answer> {
    const { origin, timeoutMs } = this.#options;
    return ask(
      new URL(path, origin),
      { method, agent: this.#agent, signal: this.#over.signal, timeout: timeoutMs },
      payload,
    );
  }
}

/** One request and its whole answer. */
export function ask(url: URL, options: RequestOptions, payload?: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES)
          sent.destroy(new EdgetallyError('link-refused', `${url.host}: the answer has no end`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
    });
    sent.on('timeout', () => sent.destroy(new EdgetallyError('link-refused', `${url.host}: no answer`)));
    sent.on('error', reject);
    sent.end(payload);
  });
}

function refusal(host: string, { status, body }: Answer): EdgetallyError {
  const words = body
    .toString('utf8')
    .replaceAll(/\p{C}+/gu, ' ')
    .slice(0, MAX_WORDS);
  const message = `${host} did not take a batch: ${status} ${words}`.trim();
  if (status === 401 || status === 403) {
    return new EdgetallyError('link-unauthorized', message, {
      hint: 'HTTPS needs a policy of its own, by the common name of the certificate: see docs/aws.md.',
    });
  }
  return new EdgetallyError('link-refused', message, {
    hint: status === 429 || status >= 500 ? 'Nothing to do: it is tried again.' : 'Check the address.',
  });
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}
