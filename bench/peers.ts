/**
 * `npm run bench peers`: gateways that can be installed beside ours, on the same messages and windows, through to the same
 * uplink. Only by name, since it takes four minutes; writes bench/peers.md and the figures of its plot. What is not
 * installed is named and left out.
 */
import { join } from 'node:path';
import { ROOT } from '../test/needs.js';
import type { Study } from './figures.js';
import { ekuiper, telegraf } from './peers/adapters.js';
import { collectd } from './peers/collectd.js';
import { edgetally, edgetallyBehindMosquitto } from './peers/edgetally.js';
import { measurePeers, SENSORS, WINDOW_SECONDS } from './peers/measure.js';
import { mosquittoBridge } from './peers/mosquitto.js';
import { nodeRed } from './peers/node-red.js';
import { writePage } from './peers/page.js';
import type { Peer } from './peers/peer.js';
import { PeersRig } from './peers/rig.js';

const PEERS: readonly Peer[] = [
  edgetally,
  edgetallyBehindMosquitto,
  mosquittoBridge,
  nodeRed,
  collectd,
  telegraf,
  ekuiper,
];
/** Kept over runs; no part of the project. */
const CACHE = join(ROOT, 'var/bench');

export const peers: Study = {
  name: 'peers',
  about: 'gateways side by side',
  async run({ dir }) {
    const here = new Map<Peer, string>();
    const missing = new Map<string, string>();
    for (const peer of PEERS) {
      const found = peer.find(CACHE);
      if ('version' in found) here.set(peer, found.version);
      else missing.set(peer.name, found.missing);
    }
    for (const [name, why] of missing) console.log(`SKIPPED ${name}: ${why}`);
    const rig = await PeersRig.start(dir, CACHE, here, { windowSeconds: WINDOW_SECONDS, sensors: SENSORS });
    try {
      writePage(await measurePeers(rig), missing);
    } finally {
      await rig.stop();
    }
  },
};
