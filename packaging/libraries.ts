/**
 * Which Debian packages the programs of a package need, read from the programs themselves (readelf knows every architecture). Refuses a
 * program that needs what a plain system does not have, such as a Node that is split into libraries of its own.
 */
import { execFileSync } from 'node:child_process';

const LIBC = 'libc6';
const LIBSTDCXX = 'libstdc++6';
const PACKAGES: Readonly<Record<string, string>> = {
  'libc.so.6': LIBC,
  'libm.so.6': LIBC,
  'libdl.so.2': LIBC,
  'librt.so.1': LIBC,
  'libpthread.so.0': LIBC,
  'libstdc++.so.6': LIBSTDCXX,
  'libgcc_s.so.1': 'libgcc-s1',
  'libatomic.so.1': 'libatomic1',
};
const LOADER = /^ld-linux/;

/** The release of GCC whose libstdc++ brought GLIBCXX_3.4.<minor>, the newest first. */
const GCC_OF_MINOR = [
  [33, '14'],
  [31, '13'],
  [30, '12'],
  [29, '11'],
  [26, '9'],
  [25, '8'],
  [23, '7'],
  [22, '6'],
  [21, '5.2'],
] as const;

/** For the field Depends, in an order of its own. Throws where a program needs a library that is not among ours. */
export function librariesOf(programs: readonly string[]): string[] {
  const needed = new Set(programs.flatMap(packagesOf));
  const versions = programs.flatMap(versionsOf);
  const glibc = highest(versions, /^GLIBC_2\.(\d+)/);
  const glibcxx = highest(versions, /^GLIBCXX_3\.4\.(\d+)/);
  const gcc = GCC_OF_MINOR.find(([minor]) => glibcxx >= minor)?.[1];
  if (glibcxx > GCC_OF_MINOR[0][0]) throw new Error(`GLIBCXX_3.4.${glibcxx}: which libstdc++ has it is not known here`);
  const atLeast: Record<string, string | undefined> = { [LIBC]: `2.${glibc}`, [LIBSTDCXX]: gcc };
  return [...needed].sort().map((name) => (atLeast[name] === undefined ? name : `${name} (>= ${atLeast[name]})`));
}

function packagesOf(program: string): string[] {
  return [...readelf('--dynamic', program).matchAll(/\(NEEDED\).*\[(.+)\]/g)].flatMap(([, library = '']) => {
    if (LOADER.test(library)) return [];
    const name = PACKAGES[library];
    if (name !== undefined) return [name];
    throw new Error(`${program} needs ${library}, which a gateway may not have; take the Node that nodejs.org makes`);
  });
}

function versionsOf(program: string): string[] {
  return [...readelf('--version-info', program).matchAll(/Name: (\S+)/g)].map(([, name = '']) => name);
}

function highest(versions: readonly string[], pattern: RegExp): number {
  return Math.max(0, ...versions.map((version) => Number(pattern.exec(version)?.[1] ?? 0)));
}

function readelf(what: string, program: string): string {
  return execFileSync('readelf', ['--wide', what, program], { encoding: 'utf8', maxBuffer: 1e8 });
}
