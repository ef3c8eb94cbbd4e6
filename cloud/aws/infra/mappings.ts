/** How the ingest function is called with what waits for it. What fails comes again, but not for ever. */
import { CfnEventSourceMapping } from 'aws-cdk-lib/aws-lambda';
import type { Stack } from 'aws-cdk-lib/core';
import type { DeployedFunction } from './functions.js';
import type { Ways } from './ingest.js';
import type { Parameters } from './parameters.js';

/** A stream's retention is a day: what is older than this was resent by its gateway meanwhile. */
const STREAM_RECORD_AGE_S = 6 * 3600;

export function addMappings(stack: Stack, parameters: Parameters, ways: Ways, ingest: DeployedFunction): void {
  const common = {
    functionName: ingest.resource.ref,
    functionResponseTypes: ['ReportBatchItemFailures'],
    maximumBatchingWindowInSeconds: parameters.number('IngestWindowSeconds'),
  };
  const fromQueue = new CfnEventSourceMapping(stack, 'QueueToIngest', {
    ...common,
    eventSourceArn: ways.queue.attrArn,
    batchSize: 200,
    scalingConfig: { maximumConcurrency: parameters.number('IngestConcurrency') },
  });
  fromQueue.cfnOptions.condition = parameters.is.UseSqs;
  const fromStream = new CfnEventSourceMapping(stack, 'StreamToIngest', {
    ...common,
    eventSourceArn: ways.stream.attrArn,
    startingPosition: 'TRIM_HORIZON',
    batchSize: 200,
    parallelizationFactor: 4, // order is nothing to us
    // the defaults are for ever, for both: one bad record would stop its shard for a day
    maximumRetryAttempts: 10,
    maximumRecordAgeInSeconds: STREAM_RECORD_AGE_S,
    bisectBatchOnFunctionError: true,
    destinationConfig: { onFailure: { destination: ways.deadLetters.attrArn } },
  });
  fromStream.cfnOptions.condition = parameters.is.UseKinesis;
}
