/**
 * MQTT topic filters whose levels may have names: `plant/{group}/{device}/telemetry`. A named level takes any one level,
 * as `+` does; `{device#}` as the last level takes all that follow. Matching is that of MQTT 3.1.1 §4.7.
 */

export interface TopicFilter {
  /** As it was written. */
  readonly text: string;
  /** The filter to subscribe to: names replaced by `+` and `#`. */
  readonly subscription: string;
  /** Names of levels, in the order of the values that `matchTopic` gives. */
  readonly names: readonly string[];
  readonly levels: readonly Level[];
}

/** A literal level, one that takes any (`named` if its value is wanted), or the rest of the topic. */
type Level =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'one' | 'rest'; readonly named: boolean };

const MAX_TOPIC_BYTES = 65_535;

/** A filter taken apart, or what was expected instead. */
export function parseTopicFilter(text: string): TopicFilter | { readonly expected: string } {
  if (text === '' || text.includes('\0') || Buffer.byteLength(text) > MAX_TOPIC_BYTES) {
    return { expected: 'an MQTT topic such as plant/{group}/{device}/telemetry' };
  }
  const parts = text.split('/');
  const levels: Level[] = [];
  const names: string[] = [];
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    const name = /^\{([A-Za-z_][A-Za-z0-9_]*)(#?)\}$/.exec(part);
    if (part === '#' || name?.[2] === '#') {
      if (!last) return { expected: `${part} only as the last level` };
      levels.push({ kind: 'rest', named: name !== null });
    } else if (part === '+' || name !== null) levels.push({ kind: 'one', named: name !== null });
    else if (/[+#{}]/.test(part))
      return { expected: 'a wildcard or {name} that is a whole level, such as a/{device}/b' };
    else levels.push({ kind: 'literal', text: part });
    if (name === null) continue;
    if (names.includes(name[1]!)) return { expected: `each name once ({${name[1]}} is there twice)` };
    names.push(name[1]!);
  }
  const subscription = levels
    .map((level) => (level.kind === 'literal' ? level.text : level.kind === 'one' ? '+' : '#'))
    .join('/');
  return { text, subscription, names, levels };
}

/** The values of the named levels if the topic matches. `topicLevels` is the topic split at `/`. */
export function matchTopic(filter: TopicFilter, topicLevels: readonly string[]): string[] | undefined {
  const { levels } = filter;
  const values: string[] = [];
  // MQTT 3.1.1 §4.7.2: a filter that begins with a wildcard does not match topics that begin with $.
  if (topicLevels[0]!.startsWith('$') && levels[0]!.kind !== 'literal') return undefined;
  for (let index = 0; index < levels.length; index++) {
    const level = levels[index]!;
    if (level.kind === 'rest') {
      // `a/#` matches `a` too (§4.7.1.2); a name wants something to name
      if (level.named && index >= topicLevels.length) return undefined;
      if (level.named) values.push(topicLevels.slice(index).join('/'));
      return values;
    }
    const part = topicLevels[index];
    if (part === undefined) return undefined;
    if (level.kind === 'literal') {
      if (level.text !== part) return undefined;
    } else if (level.named) values.push(part);
  }
  return levels.length === topicLevels.length ? values : undefined;
}

/**
 * The filters to subscribe to, without those that another one covers: a broker may deliver a message once for each
 * subscription that matches it.
 */
export function subscriptionsOf(filters: readonly TopicFilter[]): string[] {
  const unique = [...new Set(filters.map((filter) => filter.subscription))];
  return unique.filter((filter) => !unique.some((other) => other !== filter && covers(other, filter)));
}

/** Does every topic that matches `narrow` match `wide`? Both are plain MQTT filters. */
export function covers(wide: string, narrow: string): boolean {
  const wideLevels = wide.split('/');
  const narrowLevels = narrow.split('/');
  if (/^[+#]/.test(wide) && narrow.startsWith('$')) return false;
  for (const [index, level] of wideLevels.entries()) {
    if (level === '#') return true;
    const other = narrowLevels[index];
    if (other === undefined || other === '#') return false;
    if (level !== '+' && level !== other) return false;
  }
  return wideLevels.length === narrowLevels.length;
}
