/** The template as text, byte for byte the same at each synthesis, and what CDK's own validator says of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib/core';
import { addStack } from './stack.js';

/** Path of the committed template, from the root of the repository. */
export const TEMPLATE_PATH = 'cloud/aws/template.json';

export interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly Condition?: string;
  readonly DeletionPolicy?: string;
}

export interface TemplateParameter {
  readonly Default?: unknown;
  readonly Description: string;
  readonly AllowedValues?: readonly (string | number)[];
}

export interface Template {
  readonly Parameters: Readonly<Record<string, TemplateParameter>>;
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Outputs: Readonly<Record<string, { readonly Description: string }>>;
}

export interface Synthesis {
  readonly template: Template;
  /** Violations of the schema and the rules of CloudFormation. */
  readonly findings: readonly string[];
}

/** Leaves its files in the folder. */
export function synthesize(outdir: string): Synthesis {
  const app = new App({ outdir, analyticsReporting: false });
  addStack(app);
  const { template } = app.synth().getStackByName('Edgetally');
  return { template: template as Template, findings: findingsIn(outdir) };
}

export function templateText(template: Template): string {
  return `${JSON.stringify(template, undefined, 1)}\n`;
}

interface Report {
  readonly pluginReports: readonly {
    readonly violations: readonly { readonly ruleName: string; readonly description: string }[];
  }[];
}

function findingsIn(outdir: string): string[] {
  const report = JSON.parse(readFileSync(join(outdir, 'validation-report.json'), 'utf8')) as Report;
  return report.pluginReports.flatMap(({ violations }) =>
    violations.map(({ ruleName, description }) => `${ruleName}: ${description}`),
  );
}
