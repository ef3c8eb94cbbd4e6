/**
 * A stand-in for a Greengrass nucleus: the event stream protocol on a Unix socket. A test lets Amazon's own client talk to it. Of Nucleus
 * Lite it has what hurts: a frame above 10,000 bytes ends the connection, a payload above 5,000 is refused, and while it is offline
 * every publish fails at once and nothing is kept. `asks`: as the classic one, it lets the component judge a configuration.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { EventStreamCodec, type Message } from '@smithy/core/event-streams';

const MAX_FRAME = 10_000;
const MAX_PAYLOAD = 5_000;
const APPLICATION = 0;
const APPLICATION_ERROR = 1;
const CONNECT = 4;
const CONNECT_ACK = 5;
const ACCEPTED = 1;
const TERMINATE = 2;
const NAME = 'com.edgetally.Agent';

type Json = Record<string, unknown>;

export interface Published {
  readonly topic: string;
  readonly payload: Buffer;
  readonly retain: boolean;
}

interface Stream {
  readonly socket: Socket;
  readonly id: number;
}

/** A request that is refused. */
class Refusal extends Error {}

export class Nucleus {
  readonly path: string;
  readonly token = 'c3ZjdWlkLW9mLTE2Yg==';
  /** What the component said of itself. */
  readonly states: string[] = [];
  readonly verdicts: Json[] = [];
  connections = 0;
  refused = 0;
  configuration: Json;
  isOnline = true;
  /** Tokens of components that it knows. */
  knows = true;
  asks = false;
  published: (message: Published) => void = () => undefined;
  readonly #codec = new EventStreamCodec(
    (bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'),
    (text) => Buffer.from(text, 'utf8'),
  );
  readonly #sockets = new Set<Socket>();
  /** By their operation. */
  #streams: (Stream & { readonly operation: string; readonly topic: string })[] = [];
  #server: Server | undefined;

  constructor(path: string, configuration: Json) {
    this.path = path;
    this.configuration = configuration;
  }

  /** What a nucleus puts into the environment of a component. */
  get environment(): Record<string, string> {
    return {
      AWS_IOT_THING_NAME: 'core-1',
      AWS_REGION: 'eu-central-1',
      AWS_DEFAULT_REGION: 'eu-central-1',
      GGC_VERSION: '2.6.0',
      GG_ROOT_CA_PATH: '',
      SVCUID: this.token,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: this.token,
      AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT: this.path,
    };
  }

  /** Connections that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  async start(): Promise<void> {
    rmSync(this.path, { force: true });
    this.#server = createServer((socket) => this.#serve(socket)).listen(this.path);
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve));
    this.drop();
    await closed;
  }

  /** Ends all connections. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** A deployment: merges onto what is there, key by key, and tells of each. */
  deploy(merge: Json): void {
    for (const [key, value] of Object.entries(merge)) {
      this.configuration = merged(this.configuration, { [key]: value });
      const event = { componentName: NAME, keyPath: [key] };
      this.#tell('SubscribeToConfigurationUpdate', 'ConfigurationUpdateEvents', { configurationUpdateEvent: event });
    }
  }

  /** Asks the component what it thinks of a deployment. */
  ask(merge: Json): void {
    const event = { configuration: merged(this.configuration, merge), deploymentId: 'deployment-1' };
    this.#tell('SubscribeToValidateConfigurationUpdates', 'ValidateConfigurationUpdateEvents', {
      validateConfigurationUpdateEvent: event,
    });
  }

  /** A message from the cloud. */
  deliver(topicName: string, bytes: Uint8Array): void {
    const message = { topicName, payload: Buffer.from(bytes).toString('base64') };
    this.#tell('SubscribeToIoTCore', 'IoTCoreMessage', { message }, topicName);
  }

  #tell(operation: string, shape: string, body: Json, topic = ''): void {
    for (const stream of this.#streams) {
      if (stream.operation === operation && stream.topic === topic) this.#answer(stream, shape, body);
    }
  }

  #serve(socket: Socket): void {
    let waiting = Buffer.alloc(0);
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#streams = this.#streams.filter((stream) => stream.socket !== socket);
    });
    socket.on('data', (chunk) => {
      waiting = Buffer.concat([waiting, chunk as Buffer]);
      while (waiting.length >= 4 && !socket.destroyed) {
        const length = waiting.readUInt32BE(0);
        if (length > MAX_FRAME) socket.destroy();
        if (waiting.length < length) return;
        this.#take(socket, this.#codec.decode(waiting.subarray(0, length)));
        waiting = waiting.subarray(length);
      }
    });
  }

  #take(socket: Socket, { headers, body }: Message): void {
    const number = (name: string) => Number(headers[name]?.value ?? 0);
    const stream = { socket, id: number(':stream-id') };
    const request = (body.length === 0 ? {} : JSON.parse(Buffer.from(body).toString())) as Json;
    if (number(':message-type') === CONNECT) {
      if (request.authToken !== this.token || !this.knows) {
        this.refused++;
        socket.destroy();
        return;
      }
      this.connections++;
      this.#send(stream, CONNECT_ACK, ACCEPTED);
    } else if ((number(':message-flags') & TERMINATE) !== 0) {
      this.#streams = this.#streams.filter(({ id, socket: of }) => id !== stream.id || of !== socket);
    } else this.#perform(stream, String(headers.operation?.value).replace('aws.greengrass#', ''), request);
  }

  #perform(stream: Stream, operation: string, request: Json): void {
    try {
      const answer = this.#handle(operation, request);
      if (operation.startsWith('Subscribe')) {
        this.#streams.push({ ...stream, operation, topic: String(request.topicName ?? '') });
      }
      this.#answer(stream, `${operation}Response`, answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const body = { _message: error.message, message: error.message, _errorCode: 'ServiceError' };
      this.#send(stream, APPLICATION_ERROR, TERMINATE, 'ServiceError', body);
    }
  }

  #handle(operation: string, request: Json): Json {
    switch (operation) {
      case 'GetConfiguration':
        return { componentName: NAME, value: this.configuration };
      case 'UpdateState':
        this.states.push(String(request.state));
        return {};
      case 'PublishToIoTCore':
        return this.#publish(request);
      case 'SendConfigurationValidityReport':
        this.verdicts.push(request.configurationValidityReport as Json);
        return {};
      case 'SubscribeToConfigurationUpdate':
      case 'SubscribeToIoTCore':
        return {};
      case 'SubscribeToValidateConfigurationUpdates':
        if (this.asks) return {};
    }
    throw new Refusal(`unhandled operation ${operation}`);
  }

  #publish(request: Json): Json {
    const payload = Buffer.from(String(request.payload ?? ''), 'base64');
    if (payload.length > MAX_PAYLOAD) throw new Refusal('too large');
    if (!this.isOnline) throw new Refusal('Failed to publish the message.');
    const message = { topic: String(request.topicName), payload, retain: request.retain === true };
    setImmediate(() => this.published(message));
    return {};
  }

  #answer(stream: Stream, shape: string, body: Json): void {
    this.#send(stream, APPLICATION, 0, shape, body);
  }

  #send({ socket, id }: Stream, type: number, flags: number, shape?: string, body?: Json): void {
    const headers: Message['headers'] = {
      ':message-type': { type: 'integer', value: type },
      ':message-flags': { type: 'integer', value: flags },
      ':stream-id': { type: 'integer', value: id },
    };
    if (shape !== undefined) {
      headers[':content-type'] = { type: 'string', value: 'application/json' };
      headers['service-model-type'] = { type: 'string', value: `aws.greengrass#${shape}` };
    }
    const bytes = body === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(body));
    if (!socket.destroyed) socket.write(this.#codec.encode({ headers, body: bytes }));
  }
}

/** As a deployment merges: objects key by key, everything else as a whole. */
export function merged(onto: Json, merge: Json): Json {
  const result = { ...onto };
  for (const [key, value] of Object.entries(merge)) {
    const before = result[key];
    result[key] = isObject(before) && isObject(value) ? merged(before, value) : value;
  }
  return result;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
