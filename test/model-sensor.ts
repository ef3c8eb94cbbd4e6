/**
 * A sensor that sends neither times nor ids, over a link that breaks: what it has no PUBACK for it sends again on its next
 * connection, with DUP and the id it had, before it goes on. Its values are few and it takes the lowest free id, so that messages
 * are alike; only one that never arrives has an id of its own (docs/guarantees.md tells why).
 */
import type { Delivery, Sender } from '../agent/reading.js';

/** What becomes of a message: its PUBACK comes, or not (yet), or it never arrives because the connection is over. */
export type Fate = 'heard' | 'unheard' | 'lost';

export interface Outgoing {
  readonly packetId: number;
  readonly text: string;
}

export class ModelSensor {
  readonly #deliver: (text: string, delivery: Delivery) => void;
  #outstanding: Outgoing[] = [];
  #from: Sender | undefined = connection();
  #lost = 0;

  constructor(deliver: (text: string, delivery: Delivery) => void) {
    this.#deliver = deliver;
  }

  publish(text: string, fate: Fate): void {
    if (this.#from === undefined) this.connect();
    const packetId = fate === 'lost' ? 1_000 + this.#lost++ : this.#lowestFree();
    this.#outstanding.push({ packetId, text });
    if (fate === 'lost') {
      this.#from = undefined;
      return;
    }
    this.#deliver(text, { from: this.#from!, packetId, isRedelivered: false });
    if (fate === 'heard') this.#outstanding = []; // in order: those before it were heard too
  }

  /** Anew, be the last connection over or not. */
  connect(): void {
    const from = connection();
    this.#from = from;
    for (const { text, packetId } of this.#outstanding) this.#deliver(text, { from, packetId, isRedelivered: true });
  }

  /** Its next word is a connection. */
  broken(): void {
    this.#from = undefined;
  }

  #lowestFree(): number {
    let packetId = 1;
    while (this.#outstanding.some((one) => one.packetId === packetId)) packetId++;
    return packetId;
  }

  /** Everything was heard. */
  settle(): void {
    this.connect();
    this.#outstanding = [];
  }
}

function connection(): Sender {
  return { name: 'broker/sensor', isSettled: false };
}
