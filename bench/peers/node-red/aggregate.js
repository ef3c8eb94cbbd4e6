// The function node: a tumbling window of observation time for each device, sent a second after it has ended. A late reading
// opens its window again, which is then sent a second time.
const LATENESS_MS = 1000;
const METRICS = ['temperature', 'humidity', 'pressure', 'co2', 'battery'];

// biome-ignore lint/correctness/noUnusedVariables: node-red.ts ends the node's text with its call
function aggregate(msg, flow) {
  const windows = flow.get('windows', 'disk') ?? {};
  const summaries = msg.topic === 'tick' ? close(windows, Date.now()) : add(windows, msg);
  flow.set('windows', windows, 'disk');
  return [summaries];
}

function add(windows, { topic, payload }) {
  const device = topic.split('/')[2];
  const start = payload.ts - (payload.ts % WINDOW_MS);
  const key = `${device} ${start}`;
  windows[key] ??= { device, start, metrics: {} };
  const { metrics } = windows[key];
  for (const name of METRICS) {
    const value = payload[name];
    metrics[name] ??= { n: 0, mean: 0, m2: 0, min: value, max: value };
    const metric = metrics[name];
    const delta = value - metric.mean;
    metric.n++;
    metric.mean += delta / metric.n;
    metric.m2 += delta * (value - metric.mean);
    metric.min = Math.min(metric.min, value);
    metric.max = Math.max(metric.max, value);
  }
  return [];
}

function close(windows, now) {
  const closed = Object.keys(windows).filter((key) => windows[key].start + WINDOW_MS + LATENESS_MS <= now);
  return closed.map((key) => {
    const { device, start, metrics } = windows[key];
    delete windows[key];
    const told = Object.entries(metrics).map(([name, { n, mean, m2, min, max }]) => {
      return [name, { n, mean, sd: n > 1 ? Math.sqrt(m2 / (n - 1)) : 0, min, max }];
    });
    return { topic: `summary/${device}`, payload: { device, start, ...Object.fromEntries(told) } };
  });
}
