/** The acknowledgements of QoS 1 publishes, as bytes: MQTT 3.1.1 §3.4, MQTT 5 §3.4 (reason code 0 is left out) say the same. */
export function pubacks(messageIds: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(messageIds.length * 4);
  for (const [index, id] of messageIds.entries()) bytes.writeUInt32BE(0x40020000 + id, index * 4);
  return bytes;
}
