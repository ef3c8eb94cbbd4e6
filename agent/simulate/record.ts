/**
 * The ground truth of a simulation: each distinct raw message once, one JSON object a line: {"topic":…,"payload":…},
 * with the payload as the exact text that was sent. A message is written when its first PUBACK arrives (QoS 0: when it
 * is sent), for from then on the gateway has promised to count it.
 */

import { createWriteStream, openSync, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { EdgetallyError } from '../../shared/errors.js';

const CHUNK_CHARACTERS = 65_536;

export class Recorder {
  readonly #stream: WriteStream | undefined;
  #chunk = '';
  #failure: Error | undefined;
  /** Numbers of the messages that are in the file and are yet to be acknowledged again. */
  readonly #repeats = new Set<number>();

  constructor(path: string | undefined) {
    if (path === undefined) return;
    this.#stream = createWriteStream(path, { fd: openForWriting(path) });
    this.#stream.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  /** Of a message that is sent twice, only the first acknowledgement is written. */
  add(message: { index: number; topic: string; payload: string; isRepeated: boolean }): void {
    if (this.#stream === undefined) return;
    if (message.isRepeated) {
      if (this.#repeats.delete(message.index)) return;
      this.#repeats.add(message.index);
    }
    this.#chunk += `${JSON.stringify({ topic: message.topic, payload: message.payload })}\n`;
    if (this.#chunk.length >= CHUNK_CHARACTERS) this.flush();
  }

  flush(): void {
    if (this.#chunk !== '' && this.#failure === undefined) this.#stream?.write(this.#chunk);
    this.#chunk = '';
  }

  /** Throws where any part of the record could not be written. */
  async close(): Promise<void> {
    if (this.#stream === undefined) return;
    this.flush();
    this.#stream.end();
    await finished(this.#stream).catch(() => undefined);
    if (this.#failure !== undefined) {
      throw new EdgetallyError('usage', 'the record is incomplete', {
        cause: this.#failure,
        hint: 'Check free space where --record points.',
      });
    }
  }
}

function openForWriting(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (cause) {
    throw new EdgetallyError('usage', `cannot write ${path}`, { cause, hint: 'Check the path given with --record.' });
  }
}
