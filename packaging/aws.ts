/** `npm run aws:build [-- --out DIR]`: the zips of the functions, and how to get them to AWS. See docs/aws.md. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../test/needs.js';
import { buildFunctions } from './functions.js';

const { values } = parseArgs({ options: { out: { type: 'string', default: join(ROOT, 'dist/aws') } } });

const { folder, prefix, names } = await buildFunctions(values.out);
console.log(`${names.length} functions in ${folder}

  aws s3 cp --recursive ${folder} s3://YOUR-BUCKET/${prefix}
  ArtifactPrefix=${prefix}`);
