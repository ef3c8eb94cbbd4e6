/** Raw messages as they came, to rebuild a store from: what the archive's writers and readers have to offer. */

export interface ArchivedObject {
  readonly key: string;
  readonly bytes: Uint8Array;
  /** When the message came, by the cloud's clock. */
  readonly receivedMs: number;
}

export interface ArchiveWriter {
  /** Durable when the promise resolves. The same key again replaces what was there. */
  put(object: ArchivedObject): Promise<void>;
}

export interface ArchiveReader {
  /** All keys, in pages, in the order of their bytes. */
  keys(): AsyncIterable<readonly string[]>;
  get(key: string): Promise<ArchivedObject>;
  /** Frees what it holds. */
  close(): void;
}
