/**
 * Opens the pipeline on its database, whatever state that is in: one that is damaged is set aside and salvaged first. A file
 * that is not ours is refused with words, and left as it is.
 */
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { EdgetallyError } from '../shared/errors.js';
import { corruptionAtOpening } from './buffer/corruption.js';
import { keepEpoch, markDamaged, readEpoch, readMarker } from './buffer/damaged-files.js';
import { damageOfFiles, holdsOurEpoch, refuseIfLocked } from './buffer/inspect-files.js';
import { salvageIfDue } from './buffer/salvage/salvage.js';
import { Pipeline, type PipelineContext } from './pipeline.js';

export function openPipeline(context: PipelineContext): Pipeline {
  if (context.readOnly === true) return new Pipeline(context);
  const { databasePath: path, options } = context;
  if (readMarker(path) !== undefined) refuseIfLocked(path);
  const seen = damageOfFiles(path, options.durability === 'relaxed');
  if (seen !== undefined) mark(context, seen);
  salvage(context);
  try {
    return opened(context);
  } catch (error) {
    const reason = damageIn(error, path);
    if (reason === undefined) throw error;
    mark(context, reason);
    salvage(context);
    return opened(context);
  }
}

/** From now on the database is salvaged before it is opened again. */
export function mark({ databasePath, clock }: PipelineContext, reason: string): void {
  markDamaged(
    databasePath,
    reason,
    clock.nowMs(),
    randomInt(2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  );
}

function opened(context: PipelineContext): Pipeline {
  const pipeline = new Pipeline(context);
  keepEpoch(context.databasePath, pipeline.buffer.epoch);
  return pipeline;
}

function salvage({ databasePath, clock, log }: PipelineContext): void {
  const report = salvageIfDue(databasePath, clock.nowMs(), randomInt(2 ** 32));
  if (report === undefined) return;
  log.error(report, 'the database was damaged: it is set aside, what could be read is in a new one; check the disk');
}

function damageIn(error: unknown, path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const code = error instanceof EdgetallyError ? error.code : undefined;
  if (code === 'database-newer' || code === 'database-locked') return undefined;
  if (code !== 'database-invalid') return corruptionAtOpening(error);
  if (corruptionAtOpening(error) !== undefined) return readEpoch(path) && 'it is no database any more';
  return holdsOurEpoch(path) ? 'it says that it belongs to another program' : undefined;
}
