#!/usr/bin/env -S node --max-semi-space-size=32
// The launcher: says so where Node is too old, then runs what `npm run build` made. What a batch
// is decoded to lives until its commit: with a young generation of 16 MB it is copied again and again, a fifth of all CPU.
const major = Number(process.versions.node.split('.')[0]);
if (major < 20) {
  console.error(`edgetally-cloud needs Node 20 or newer; this is ${process.version}.`);
  process.exit(1);
}
await import('../build/cloud/main.js').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !String(error.message).includes('build/cloud/main.js')) throw error;
  console.error('edgetally-cloud is not built yet: run `npm run build` in its folder.');
  process.exit(1);
});
