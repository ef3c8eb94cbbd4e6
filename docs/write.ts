/** Writes the pages of docs/ that come from code. A test fails while they are stale. */
import { writeFile } from 'node:fs/promises';
import { agentReference } from '../agent/config.js';

const folder = new URL('../../docs/', import.meta.url); // from build/docs

await writeFile(new URL('config.md', folder), agentReference());
