/** The zips of the functions: all that the template names, the same each time, and each starts from its zip alone. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inflateRawSync } from 'node:zlib';
import t from 'tap';
import { ROOT } from '../test/needs.js';
import { buildFunctions } from './functions.js';

const MAX_BYTES = 2.5 * 1024 * 1024;

const template = JSON.parse(readFileSync(join(ROOT, 'cloud/aws/template.json'), 'utf8')) as {
  Resources: Record<string, { Type: string; Properties: { Code?: { S3Key: unknown } } }>;
};

t.test('the same sources make the same bytes, under the same prefix', async (t) => {
  const first = await buildFunctions(t.testdir());
  const again = await buildFunctions(join(t.testdirName, 'again'));
  t.match(first.prefix, /^edgetally\/[^/]+-[0-9a-f]{12}\/$/);
  t.equal(again.prefix, first.prefix);
  for (const name of readdirSync(first.folder)) {
    t.ok(readFileSync(join(first.folder, name)).equals(readFileSync(join(again.folder, name))), name);
  }
  await t.test('and are those that the template asks for', async (t) => {
    const functions = Object.values(template.Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function');
    const asked = functions.map(({ Properties }) => /([a-z-]+)\.zip/.exec(JSON.stringify(Properties.Code?.S3Key))?.[1]);
    t.strictSame([...first.names], asked.sort());
  });
  await t.test('and start with nothing beside them, and say what is not set', async (t) => {
    for (const name of first.names) {
      const files = unzip(readFileSync(join(first.folder, `${name}.zip`)));
      t.strictSame([...files.keys()], ['THIRD-PARTY-NOTICES.txt', 'index.mjs', 'index.mjs.map'], name);
      t.notMatch(files.get('index.mjs')!.toString(), /better[-_]sqlite3|\.node['"]/, `${name}: nothing native`);
      t.ok(
        files.get('index.mjs')!.length < MAX_BYTES,
        `${name}: ${files.get('index.mjs')!.length} bytes to be read at a start`,
      );
      const { sources } = JSON.parse(files.get('index.mjs.map')!.toString()) as { sources: string[] };
      const outside = sources.filter((source) => !/^\.\.\/\.\.\/\.\.\/(?!\.\.\/)/.test(source));
      t.strictSame(outside, [], `${name}: no path beyond the repository`);
      const file = join(mkdtempSync(join(tmpdir(), 'edgetally-function-')), 'index.mjs');
      t.teardown(() => rmSync(dirname(file), { recursive: true }));
      writeFileSync(file, files.get('index.mjs')!);
      const { handler } = await import(pathToFileURL(file).href);
      const context = { getRemainingTimeInMillis: () => 1000 };
      await t.rejects((async () => handler({}, context))(), { message: /EDGETALLY_/ }, name);
    }
  });
});

/** What the directory at the end of a zip (APPNOTE 4.3.12) says is in it. */
function unzip(zip: Buffer): Map<string, Buffer> {
  const end = zip.length - 22; // no comment behind it
  const files = new Map<string, Buffer>();
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = zip.readUInt16LE(at + 28);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    files.set(name, inflateRawSync(zip.subarray(start, start + zip.readUInt32LE(at + 20))));
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return files;
}
