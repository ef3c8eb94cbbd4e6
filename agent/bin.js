#!/usr/bin/env node
// The launcher: says so where Node is too old, then runs what `npm run build` made.
const major = Number(process.versions.node.split('.')[0]);
if (major < 20) {
  console.error(`edgetally-agent needs Node 20 or newer; this is ${process.version}.`);
  process.exit(1);
}
await import('../build/agent/main.js').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !String(error.message).includes('build/agent/main.js')) throw error;
  console.error('edgetally-agent is not built yet: run `npm run build` in its folder.');
  process.exit(1);
});
