/**
 * One connection to the nucleus of AWS IoT Greengrass: the few operations of its IPC that the agent needs.
 *
 * Promises: a call that gets no answer in time fails; a subscription that breaks ends the connection, so that there is one way to
 * come back. Failures are told in our words. Remembers nothing, retries nothing.
 */
import { z } from 'zod';
import { EdgetallyError } from '../../shared/errors.js';
import type { MqttEnd } from '../../shared/mqtt-reasons.js';
import type { Granted } from '../mqtt/connection.js';
import { type Connection, within } from '../mqtt/lifecycle.js';
import { RpcConnection, RpcRefusal } from './rpc.js';

/** How long the nucleus may take to answer. */
const ANSWER_MS = 15_000;

/** What a nucleus sets for the processes of its components. */
const SOCKET = 'AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT';
const TOKEN = 'SVCUID';

const NOT_A_COMPONENT = 'Only a Greengrass nucleus starts it so, by the recipe of the component. Elsewhere take `run`.';
const ACCESS = 'Compare `accessControl` in the configuration of the component with docs/greengrass.md.';
const UNKNOWN = 'The nucleus knows this process again when it has started the component anew.';

const configurationSchema = z.object({ value: z.unknown() });
const messageSchema = z.object({
  message: z.object({ topicName: z.string(), payload: z.string().default('') }),
});
const judgementSchema = z.object({
  validateConfigurationUpdateEvent: z.object({ configuration: z.unknown(), deploymentId: z.string() }),
});

export interface NucleusAddress {
  readonly path: string;
  readonly token: string;
}

/** Throws where this process is no component. */
export function nucleusAddress(env: Readonly<Record<string, string | undefined>>): NucleusAddress {
  const { [SOCKET]: path, [TOKEN]: token } = env;
  if (path && token) return { path, token };
  const missing = path ? TOKEN : SOCKET;
  throw new EdgetallyError('usage', `no nucleus: ${missing} is not set`, { hint: NOT_A_COMPONENT });
}

export class NucleusConnection implements Connection {
  readonly up: Promise<Granted> = Promise.resolve({ sessionPresent: false });
  readonly ended: Promise<MqttEnd>;
  readonly #rpc: RpcConnection;

  private constructor(rpc: RpcConnection) {
    this.#rpc = rpc;
    this.ended = rpc.ended.then((reason) => ({ error: nucleusError(reason), reasonCode: undefined, wasUp: true }));
  }

  /** The signal ends the attempt; after it there is no connection. */
  static async open({ path, token }: NucleusAddress, signal: AbortSignal): Promise<NucleusConnection> {
    const late = new AbortController();
    try {
      return new NucleusConnection(
        await answered('connect', RpcConnection.open(path, token, AbortSignal.any([signal, late.signal]))),
      );
    } finally {
      late.abort(); // where there was no answer in time
    }
  }

  /** The whole configuration of this component: the recipe's defaults with what deployments merged onto them. */
  async configuration(): Promise<unknown> {
    return configurationSchema.parse(await this.#call('GetConfiguration', { keyPath: [] })).value;
  }

  /** Tells each change of it. One deployment may change it several times. */
  async watchConfiguration(changed: () => void): Promise<void> {
    await this.#subscribe('SubscribeToConfigurationUpdate', { keyPath: [] }, changed);
  }

  /** Lets a deployment fail that brings what `judge` complains of. Nucleus Lite does not ask. */
  async judgeConfiguration(judge: (configuration: unknown) => string | undefined): Promise<void> {
    await this.#subscribe('SubscribeToValidateConfigurationUpdates', {}, (body) => {
      const { configuration, deploymentId } = judgementSchema.parse(body).validateConfigurationUpdateEvent;
      const complaint = judge(configuration);
      const verdict = complaint === undefined ? { status: 'ACCEPTED' } : { status: 'REJECTED', message: complaint };
      const report = { configurationValidityReport: { ...verdict, deploymentId } };
      this.#call('SendConfigurationValidityReport', report).catch((error: Error) => this.fail(error));
    });
  }

  /** Whatever started this component may count it as running. */
  async reportRunning(): Promise<void> {
    await this.#call('UpdateState', { state: 'RUNNING' });
  }

  /** QoS 1. Resolves when the nucleus has taken it: the classic one keeps it for later where it is offline, Lite refuses. */
  async publish(topicName: string, bytes: Uint8Array, retain: boolean): Promise<void> {
    const payload = Buffer.from(bytes).toString('base64');
    await this.#call('PublishToIoTCore', { topicName, qos: '1', payload, ...(retain ? { retain } : {}) });
  }

  async subscribe(topicName: string, heard: (topic: string, payload: Uint8Array) => void): Promise<void> {
    await this.#subscribe('SubscribeToIoTCore', { topicName, qos: '0' }, (body) => {
      const { message } = messageSchema.parse(body);
      heard(message.topicName, Buffer.from(message.payload, 'base64'));
    });
  }

  /** Ends the connection, for this reason. */
  fail(error: Error): void {
    this.#rpc.end(error);
  }

  end(): void {
    this.#rpc.end(new Error('ended'));
  }

  #call(operation: string, request: object): Promise<unknown> {
    return answered(operation, this.#rpc.call(operation, request));
  }

  async #subscribe(operation: string, request: object, heard: (body: unknown) => void): Promise<void> {
    await answered(operation, this.#rpc.subscribe(operation, request, heard));
  }
}

export function nucleusError(error: unknown, operation?: string): EdgetallyError {
  if (error instanceof EdgetallyError) return error;
  const said = error instanceof Error ? error.message : String(error);
  const message = `the nucleus${operation === undefined ? '' : ` at ${operation}`}: ${said}`;
  if (!(error instanceof RpcRefusal)) return new EdgetallyError('link-lost', message, { cause: error });
  if (error.code === 'Handshake')
    return new EdgetallyError('link-unauthorized', message, { cause: error, hint: UNKNOWN });
  if (error.code === 'UnauthorizedError')
    return new EdgetallyError('link-unauthorized', message, { cause: error, hint: ACCESS });
  return new EdgetallyError('link-lost', message, { cause: error });
}

async function answered<T>(operation: string, answer: Promise<T>): Promise<T> {
  const settled = answer.then(
    (value) => ({ value }),
    (error: unknown) => {
      throw nucleusError(error, operation);
    },
  );
  const first = await within(ANSWER_MS, settled);
  if (first === undefined) throw nucleusError(new Error('no answer'), operation);
  return first.value;
}
