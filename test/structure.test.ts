/** The shape of the tree: who may import whom, and no file of a size that nobody reads. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import t from 'tap';
import { ROOT } from './needs.js';

const STAGES = ['accept', 'aggregate', 'buffer', 'push', 'consolidate', 'report'];
const MAX_LINES = 300;

interface Source {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly lines: number;
  /** Paths of the project's own files that it imports. */
  readonly imports: readonly string[];
}

function sources(folder: string): Source[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const path = join(folder, name);
      const text = readFileSync(join(ROOT, path), 'utf8');
      const imports = [...text.matchAll(/from '(\.{1,2}\/[^']+)'/g)].map(([, specifier]) =>
        relative(ROOT, resolve(ROOT, dirname(path), specifier!)),
      );
      return { path, lines: text.split('\n').length, imports };
    });
}

const folderOf = (path: string) => path.split('/')[0]!;
const stageOf = (path: string) => (STAGES.includes(path.split('/')[1]!) ? path.split('/')[1] : undefined);

t.test('agent and cloud never import each other, shared imports neither', async (t) => {
  const allowed: Record<string, string[]> = {
    agent: ['agent', 'shared'],
    cloud: ['cloud', 'shared'],
    shared: ['shared'],
  };
  for (const [folder, others] of Object.entries(allowed)) {
    const wrong = sources(folder).flatMap(({ path, imports }) =>
      imports.filter((to) => !others.includes(folderOf(to))).map((to) => `${path} imports ${to}`),
    );
    t.strictSame(wrong, [], folder);
  }
});

t.test('a stage never imports a sibling stage', async (t) => {
  const wrong = [...sources('agent'), ...sources('cloud')].flatMap(({ path, imports }) => {
    const stage = stageOf(path);
    if (stage === undefined) return [];
    return imports
      .filter((to) => stageOf(to) !== undefined && stageOf(to) !== stage)
      .map((to) => `${path} imports ${to}`);
  });
  t.strictSame(wrong, []);
});

t.test('no source file is long', async (t) => {
  const long = ['agent', 'cloud', 'shared', 'demo']
    .flatMap(sources)
    .filter(({ path, lines }) => !path.endsWith('.test.ts') && lines > MAX_LINES)
    .map(({ path, lines }) => `${path}: ${lines} lines`);
  t.strictSame(long, []);
});
