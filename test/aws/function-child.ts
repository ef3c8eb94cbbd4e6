/** A function as a process of its own: `node function-child.js MODULE`. Takes events from its parent, answers one after the other. */
const { handler } = (await import(process.argv[2]!)) as {
  handler: (event: unknown, context: object) => Promise<unknown>;
};

process.on('message', async (event: unknown) => {
  try {
    const result = await handler(event, { getRemainingTimeInMillis: () => 60_000 });
    process.send!({ ok: true, result: result ?? null });
  } catch (error) {
    process.send!({ ok: false, error: String(error) });
  }
});
process.on('disconnect', () => process.exit());
process.send!({ ready: true });
