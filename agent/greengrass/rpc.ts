/**
 * The protocol of a nucleus: requests and subscriptions as messages of Amazon's event stream, on a Unix socket. The frames are the
 * work of a library; here is who waits for which answer. Not Amazon's own client, because its native part aborts the process
 * now and then when a nucleus goes away (docs/architecture.md).
 *
 * Promises: never throws into a socket's event; whatever is wrong ends the connection, with a reason. Retries nothing.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { EventStreamCodec, type Message, type MessageHeaders } from '@smithy/core/event-streams';

/** Values of `:message-type`. */
const APPLICATION = 0;
const APPLICATION_ERROR = 1;
const PING = 2;
const PONG = 3;
const CONNECT = 4;
const CONNECT_ACK = 5;
/** Of `:message-flags`. */
const ACCEPTED = 1;
const TERMINATE = 2;

const VERSION = '0.1.0';
const NAMESPACE = 'aws.greengrass#';
/** Much more than a nucleus sends. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** What the nucleus refused, or that it does not know this process. */
export class RpcRefusal extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Stream {
  answered(body: unknown): void;
  refused(error: Error): void;
  /** Of a subscription: what comes after the answer. */
  readonly heard: ((body: unknown) => void) | undefined;
  isAnswered: boolean;
}

export class RpcConnection {
  /** Resolves with the reason when it is over. */
  readonly ended: Promise<Error>;
  readonly #socket: Socket;
  readonly #codec = new EventStreamCodec(utf8, (text) => Buffer.from(text, 'utf8'));
  readonly #streams = new Map<number, Stream>();
  readonly #accepted: { resolve(): void; reject(error: Error): void };
  readonly #ready: Promise<void>;
  #waiting = Buffer.alloc(0);
  #lastStream = 0;
  #reason: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const { promise, ...accepted } = deferred();
    this.#accepted = accepted;
    this.#ready = promise;
    this.ended = new Promise((resolve) => {
      socket.once('close', () => {
        const reason = this.#reason ?? new Error('the connection was closed');
        accepted.reject(new RpcRefusal('Handshake', reason.message));
        for (const stream of this.#streams.values()) stream.refused(reason);
        this.#streams.clear();
        resolve(reason);
      });
    });
    socket.on('error', (error) => this.end(error));
    socket.on('data', (chunk) => this.#take(chunk));
  }

  /** Connects and says who we are; the signal ends the attempt. */
  static async open(path: string, authToken: string, signal: AbortSignal): Promise<RpcConnection> {
    const socket = connect(path);
    const abort = () => socket.destroy();
    signal.addEventListener('abort', abort);
    try {
      await once(socket, 'connect', { signal });
      const connection = new RpcConnection(socket);
      connection.#send(CONNECT, 0, { ':version': text(VERSION) }, { authToken });
      await connection.#ready;
      return connection;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Resolves with the answer. */
  call(operation: string, request: object): Promise<unknown> {
    return this.#request(operation, request, undefined);
  }

  /** Resolves when the nucleus has accepted it. */
  async subscribe(operation: string, request: object, heard: (body: unknown) => void): Promise<void> {
    await this.#request(operation, request, heard);
  }

  end(reason: Error): void {
    this.#reason ??= reason;
    this.#socket.destroy();
  }

  #request(operation: string, request: object, heard: Stream['heard']): Promise<unknown> {
    const id = ++this.#lastStream;
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(this.#reason ?? new Error('the connection was closed'));
        return;
      }
      this.#streams.set(id, { answered: resolve, refused: reject, heard, isAnswered: false });
      const headers = {
        operation: text(NAMESPACE + operation),
        'service-model-type': text(`${NAMESPACE}${operation}Request`),
      };
      this.#send(APPLICATION, id, headers, request);
    });
  }

  #send(type: number, stream: number, headers: MessageHeaders, body: object): void {
    const frame = this.#codec.encode({
      headers: {
        ':message-type': integer(type),
        ':message-flags': integer(0),
        ':stream-id': integer(stream),
        ':content-type': text('application/json'),
        ...headers,
      },
      body: Buffer.from(JSON.stringify(body)),
    });
    this.#socket.write(frame);
  }

  #take(chunk: Buffer): void {
    this.#waiting = Buffer.concat([this.#waiting, chunk]);
    try {
      while (this.#waiting.length >= 4) {
        const length = this.#waiting.readUInt32BE(0);
        if (length > MAX_FRAME_BYTES) throw new Error(`a frame of ${length} bytes`);
        if (this.#waiting.length < length) return;
        const frame = this.#waiting.subarray(0, length);
        this.#waiting = this.#waiting.subarray(length);
        this.#understand(this.#codec.decode(frame));
      }
    } catch (error) {
      this.end(new Error(`what came is no message: ${(error as Error).message}`));
    }
  }

  #understand({ headers, body }: Message): void {
    const number = (name: string) => Number(headers[name]?.value ?? 0);
    const type = number(':message-type');
    const flags = number(':message-flags');
    const id = number(':stream-id');
    if (type === PING) this.#send(PONG, 0, {}, {});
    else if (type === CONNECT_ACK) this.#connected((flags & ACCEPTED) !== 0);
    else if (id === 0) this.end(new Error(`the nucleus complains: ${utf8(body).slice(0, 200)}`));
    else this.#continue(id, type, (flags & TERMINATE) !== 0, body);
  }

  #connected(isAccepted: boolean): void {
    if (isAccepted) this.#accepted.resolve();
    else this.end(new Error('it does not know this process'));
  }

  #continue(id: number, type: number, isLast: boolean, body: Uint8Array): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return; // of a stream that is over
    if (isLast) this.#streams.delete(id);
    const content = body.length === 0 ? {} : (JSON.parse(utf8(body)) as unknown);
    if (!stream.isAnswered) {
      stream.isAnswered = true;
      if (type === APPLICATION_ERROR) stream.refused(refusalOf(content));
      else stream.answered(content);
      if (stream.heard === undefined || type === APPLICATION_ERROR) this.#streams.delete(id);
    } else if (type === APPLICATION) stream.heard?.(content);
    if (isLast && stream.heard !== undefined && type === APPLICATION) this.end(new Error('a subscription was ended'));
  }
}

/** The classic nucleus and Lite spell it differently. */
function refusalOf(content: unknown): RpcRefusal {
  const { message, _message, _errorCode } = (content ?? {}) as Record<string, unknown>;
  const code = String(_errorCode ?? 'ServiceError');
  return new RpcRefusal(code, String(message ?? _message ?? code));
}

function integer(value: number): MessageHeaders[string] {
  return { type: 'integer', value };
}

function text(value: string): MessageHeaders[string] {
  return { type: 'string', value };
}

function utf8(bytes: Uint8Array | string): string {
  return typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8');
}

function deferred() {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
