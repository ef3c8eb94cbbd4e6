/**
 * The recipe of the component: from the template and the architectures that have an artifact, held to the rules of both nuclei.
 * Stricter than gdk's own schema, which looks at no key below the first level and at no case. Pure.
 */
import { parse, stringify } from 'yaml';
import { z } from 'zod';

export const COMPONENT = 'com.edgetally.Agent';

/** As Greengrass names them, by the names of Node. */
export const ARCHITECTURES = { x64: 'amd64', arm64: 'aarch64', arm: 'arm' } as const;
export type Architecture = (typeof ARCHITECTURES)[keyof typeof ARCHITECTURES];

export function artifactName(architecture: Architecture): string {
  return `edgetally-agent-linux-${architecture}.zip`;
}

/** What Nucleus Lite can fill into a script. */
const VARIABLES = /\{(artifacts:path|artifacts:decompressedPath|work:path|iot:thingName|kernel:rootPath)\}/g;

const script = z
  .string()
  .refine((text) => !text.replaceAll(VARIABLES, '').includes('{'), 'a brace that is no variable of the recipe')
  .refine((text) => text.length < 10_000, 'at most 10,000 characters');

const step = z.strictObject({ Script: script, Timeout: z.string().regex(/^\d+$/).optional() });

const artifact = z.strictObject({
  Uri: z.string().regex(/^s3:\/\/[^/]+\/.+\.zip$/),
  Unarchive: z.literal('ZIP'),
  Permission: z.strictObject({ Read: z.literal('ALL'), Execute: z.literal('ALL') }),
});

const manifest = z.strictObject({
  Platform: z.strictObject({
    os: z.literal('linux'),
    architecture: z.enum(Object.values(ARCHITECTURES)),
    runtime: z.literal('aws_nucleus_lite').optional(),
  }),
  Artifacts: z.array(artifact).min(1),
  Lifecycle: z.strictObject({ install: step, startup: step, shutdown: step.optional() }),
});

const policy = z.strictObject({
  policyDescription: z.string(),
  operations: z.array(z.string().regex(/^aws\.greengrass#(PublishTo|SubscribeTo)IoTCore$/)).min(1),
  resources: z.array(z.string().regex(/^[^{}?]+$/, 'a topic with nothing to be filled in')).min(1),
});

export const recipeSchema = z.strictObject({
  RecipeFormatVersion: z.literal('2020-01-25'),
  ComponentName: z.literal(COMPONENT),
  ComponentVersion: z
    .string()
    .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/)
    .max(64),
  ComponentType: z.literal('aws.greengrass.generic'),
  ComponentDescription: z.string(),
  ComponentPublisher: z.string(),
  ComponentConfiguration: z.strictObject({
    DefaultConfiguration: z.looseObject({
      accessControl: z.strictObject({ 'aws.greengrass.ipc.mqttproxy': z.record(z.string(), policy) }),
    }),
  }),
  Manifests: z
    .array(manifest)
    .min(2)
    .refine((manifests) => {
      const runs = (runtime: string | undefined) =>
        manifests.filter(({ Platform }) => Platform.runtime === runtime).map(({ Platform }) => Platform.architecture);
      return String(runs('aws_nucleus_lite')) === String(runs(undefined));
    }, 'each architecture has a manifest for Nucleus Lite and one for the classic nucleus'),
});

export type Recipe = z.infer<typeof recipeSchema>;

export interface RecipeOptions {
  readonly version: string;
  readonly architectures: readonly Architecture[];
  /** Where the artifacts are; left open for gdk where it is not given. */
  readonly bucket?: string | undefined;
}

/** What gdk puts its bucket into. */
const FOR_GDK = 's3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/';

/** Throws what is wrong with it. */
export function recipeText(template: string, { version, architectures, bucket }: RecipeOptions): string {
  const { Manifests, ...rest } = parse(template) as { Manifests: unknown };
  const manifests = architectures.flatMap((architecture) => {
    const text = JSON.stringify(Manifests).replaceAll('ARCHITECTURE', architecture);
    const placed = bucket === undefined ? text : text.replaceAll(FOR_GDK, `s3://${bucket}/${COMPONENT}/${version}/`);
    return JSON.parse(placed) as unknown[];
  });
  const recipe = recipeSchema.parse({ ...rest, ComponentVersion: version, Manifests: manifests });
  return stringify(recipe, { aliasDuplicateObjects: false, lineWidth: 0 });
}
