/**
 * Loaded into the demo's child processes (`node --import`): when the demo is gone, however it went, so are they. The
 * channel between the two closes with the parent, even where it was killed.
 */

const PATIENCE_MS = 10_000;

process.on('disconnect', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), PATIENCE_MS).unref();
});
process.channel?.unref(); // a listener alone would keep the process alive
