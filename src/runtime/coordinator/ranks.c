/* SPDX-License-Identifier: Apache-2.0
 * The training side of the coordinator: steps that all ranks make together, checkpoints that all have stored, their common restart. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/coordinator/coordinator.h"

static ghee_crew *ranks_of(ghee_coordinator *of) { return &of->crews[ghee_last_stage(of)]; }
static uint32_t world_of(const ghee_coordinator *of) { return of->spec->stages[ghee_last_stage(of)].workers; }

static uint32_t interleave_of(const ghee_coordinator *of) { return ghee_plan_totals_of(of->plan)->interleave; }

/* Reads a checkpoint's place back out of a rank's position (train.c writes it). */
static ghee_place place_of(const void *position, size_t size) {
  ghee_reader reader = ghee_reader_of(position, size);
  ghee_place place = {.epoch = ghee_reader_u32(&reader)};
  place.window = ghee_reader_u32(&reader);
  place.seq = ghee_reader_u32(&reader);
  place.chunk = ghee_reader_u32(&reader);
  return place;
}

static void take_place(ghee_coordinator *of, const ghee_ledger_checkpoint *checkpoint) {
  of->stored_step = checkpoint->step;
  for (uint32_t rank = 0; rank < checkpoint->world; rank++) {
    ghee_place place = place_of(checkpoint->positions[rank], checkpoint->position_bytes[rank]);
    if (rank == 0 || ghee_place_compare(&place, &of->stored_place) < 0) of->stored_place = place;
  }
}

ghee_status ghee_ranks_open(ghee_coordinator *of, ghee_error *err) {
  ghee_ledger_checkpoint checkpoint = {0};
  of->incarnation = of->generation << 8;
  ghee_status status = ghee_ledger_checkpoint_get(of->ledger, &checkpoint, err);
  if (status == GHEE_NOT_FOUND) return GHEE_OK;
  GHEE_TRY(status);
  if (checkpoint.world != world_of(of))
    status = ghee_error_set(err, GHEE_CHANGED, "the stored state is of %u ranks, the job has %u", checkpoint.world, world_of(of));
  if (status == GHEE_OK) {
    take_place(of, &checkpoint);
    ghee_chunks_rewind(&of->chunks, &of->stored_place, interleave_of(of));
  }
  ghee_ledger_checkpoint_fini(&checkpoint);
  return status;
}

void ghee_ranks_fill_welcome(ghee_coordinator *of, uint32_t rank, ghee_say_welcome *welcome, ghee_ledger_checkpoint *held) {
  welcome->world = world_of(of);
  welcome->incarnation = of->incarnation;
  if (ghee_ledger_checkpoint_get(of->ledger, held, NULL) != GHEE_OK || rank >= held->world) return;
  welcome->step = held->step;
  welcome->state_file = (char *)held->files[rank];
  welcome->position = held->positions[rank];
  welcome->position_bytes = held->position_bytes[rank];
}

uint32_t ghee_ranks_from_seq(const ghee_coordinator *of, const ghee_attempt *attempt) {
  const ghee_crew *ranks = &of->crews[ghee_last_stage(of)];
  uint32_t least = UINT32_MAX;
  for (uint32_t i = 0; i < world_of(of); i++) {
    ghee_place place = of->stored_place, now = ranks->members[i].now.place;
    if (ghee_place_compare(&now, &place) > 0) place = now;
    uint32_t seq = place.epoch == attempt->epoch && place.window == attempt->chunk / interleave_of(of) ? place.seq : 0;
    if (seq < least) least = seq;
  }
  return least == UINT32_MAX ? 0 : least;
}

/* ---- steps ---- */

/* A rank that is further has had the answer to this step from a coordinator that died before it told all: steps are answered one by one,
 * so in the same epoch somebody had rows, and a later epoch means that nobody had. */
static bool answered_before(const ghee_coordinator *of, const ghee_say_step *step, bool *any) {
  const ghee_crew *ranks = &of->crews[ghee_last_stage(of)];
  for (uint32_t i = 0; i < world_of(of); i++) {
    const ghee_crew_member *member = &ranks->members[i];
    if (!member->said_step) continue;
    bool later_epoch = member->step.epoch > step->epoch, later_step = member->step.epoch == step->epoch && member->step.step > step->step;
    if (!later_epoch && !later_step) continue;
    *any = later_step;
    return true;
  }
  return false;
}

static void say_go(ghee_coordinator *of, const ghee_say_step *step, bool any) {
  ghee_crew *ranks = ranks_of(of);
  ghee_say_message go = {.what = GHEE_SAY_GO, .step = {.epoch = step->epoch, .step = step->step, .have = any}};
  for (uint32_t i = 0; i < world_of(of); i++)
    if (ranks->members[i].said_step && ranks->members[i].step.epoch == step->epoch && ranks->members[i].step.step == step->step)
      ghee_crew_say(of, &ranks->members[i], &go);
}

static void on_step(ghee_coordinator *of, uint32_t rank, const ghee_say_step *step) {
  ghee_crew *ranks = ranks_of(of);
  ghee_say_step now = *step, others[2];
  uint32_t n = 0;
  bool any = false, all = true;
  ranks->members[rank].said_step = true;
  ranks->members[rank].step = now;
  for (uint32_t i = 0; i < world_of(of); i++) {
    const ghee_crew_member *member = &ranks->members[i];
    bool same = member->said_step && member->step.epoch == now.epoch && member->step.step == now.step;
    all &= same;
    any |= same && member->step.have;
    if (member->said_step && !same && n < 2) others[n++] = member->step;
  }
  if (all) say_go(of, &now, any);
  else if (answered_before(of, &now, &any)) say_go(of, &now, any);
  for (uint32_t i = 0; i < n; i++) /* those who wait behind this one */
    if (answered_before(of, &others[i], &any)) say_go(of, &others[i], any);
}

/* ---- checkpoints ---- */

/* Removes the state files that the newest checkpoint does not name. */
static void remove_older(ghee_coordinator *of, const ghee_ledger_checkpoint *was) {
  for (uint32_t rank = 0; rank < was->world; rank++) {
    char *path = ghee_job_folder_file(of->folder, was->files[rank]);
    if (path) unlink(path);
    ghee_free(path);
  }
}

static ghee_status store(ghee_coordinator *of, uint64_t step, ghee_error *err) {
  ghee_crew *ranks = ranks_of(of);
  uint32_t world = world_of(of);
  const char **files = ghee_alloc_zero(world, sizeof *files);
  const void **positions = ghee_alloc_zero(world, sizeof *positions);
  size_t *sizes = ghee_alloc_zero(world, sizeof *sizes);
  ghee_ledger_checkpoint was = {0}, now = {.step = step, .world = world, .files = files, .positions = positions, .position_bytes = sizes};
  ghee_status status = files && positions && sizes ? GHEE_OK : ghee_error_no_memory(err, "storing a checkpoint");
  for (uint32_t i = 0; i < world && status == GHEE_OK; i++) {
    files[i] = ranks->members[i].checkpoint_file;
    positions[i] = ranks->members[i].checkpoint_position.data;
    sizes[i] = ranks->members[i].checkpoint_position.size;
  }
  bool had = status == GHEE_OK && ghee_ledger_checkpoint_get(of->ledger, &was, NULL) == GHEE_OK;
  if (status == GHEE_OK && !(had && was.step >= step)) {
    status = ghee_ledger_commit_checkpoint(of->ledger, &now, err);
    if (status == GHEE_OK && had) remove_older(of, &was);
    if (status == GHEE_OK) take_place(of, &now);
    of->fruitless = 0;
  }
  ghee_ledger_checkpoint_fini(&was);
  ghee_free(files);
  ghee_free(positions);
  ghee_free(sizes);
  return status;
}

static ghee_status on_checkpoint(ghee_coordinator *of, uint32_t rank, ghee_say_checkpoint *said, ghee_error *err) {
  ghee_crew *ranks = ranks_of(of);
  ghee_crew_member *member = &ranks->members[rank];
  ghee_free(member->checkpoint_file);
  member->checkpoint_file = said->file;
  said->file = NULL;
  ghee_buffer_clear(&member->checkpoint_position);
  ghee_buffer_put(&member->checkpoint_position, said->position, said->position_bytes);
  GHEE_TRY(ghee_buffer_check(&member->checkpoint_position, "taking a checkpoint", err));
  member->checkpoint_step = said->step;
  member->said_checkpoint = true;
  for (uint32_t i = 0; i < world_of(of); i++)
    if (!ranks->members[i].said_checkpoint || ranks->members[i].checkpoint_step != said->step) return GHEE_OK;
  GHEE_TRY(store(of, said->step, err));
  ghee_say_message stored = {.what = GHEE_SAY_STORED, .ticket = said->step};
  ghee_crew_tell(of, ghee_last_stage(of), &stored);
  return GHEE_OK;
}

/* ---- the result ---- */

static ghee_status on_result(ghee_coordinator *of, uint32_t rank, ghee_say_result *said, ghee_error *err) {
  ghee_crew *ranks = ranks_of(of);
  ghee_crew_member *member = &ranks->members[rank];
  ghee_free(member->result_file);
  member->result_file = said->file;
  said->file = NULL;
  member->said_result = true;
  for (uint32_t i = 0; i < world_of(of); i++)
    if (!ranks->members[i].said_result) return GHEE_OK;
  if (*ranks->members[0].result_file) {
    char *from = ghee_job_folder_file(of->folder, ranks->members[0].result_file), *to = ghee_job_folder_file(of->folder, "value");
    bool moved = from && to && rename(from, to) == 0;
    ghee_free(from);
    ghee_free(to);
    if (!moved) return ghee_error_set(err, GHEE_IO, "the trained value could not be put in place");
  }
  ghee_coordinator_succeed(of);
  return GHEE_OK;
}

ghee_status ghee_ranks_on_message(ghee_coordinator *of, uint32_t rank, ghee_say_message *message, ghee_error *err) {
  if (of->restarting_ranks) return GHEE_OK;
  if (message->what == GHEE_SAY_CHECKPOINT) return on_checkpoint(of, rank, &message->checkpoint, err);
  if (message->what == GHEE_SAY_RESULT) return on_result(of, rank, &message->result, err);
  on_step(of, rank, &message->step);
  return GHEE_OK;
}

/* ---- restarts ---- */

/* The last rank has ended: everything from the checkpoint's place on is to be made again. */
static void begin_again(ghee_coordinator *of) {
  of->restarting_ranks = false;
  of->incarnation++;
  ghee_attempt all = {.chunk = UINT32_MAX, .token = ghee_chunks_rewind(&of->chunks, &of->stored_place, interleave_of(of))};
  ghee_crew_revoke(of, &all);
}

ghee_status ghee_ranks_died(ghee_coordinator *of, ghee_error *err) {
  ghee_crew *ranks = ranks_of(of);
  uint32_t stage = ghee_last_stage(of), alive = 0;
  if (!of->restarting_ranks) {
    of->restarting_ranks = true;
    if (of->spec->max_crashes && ++of->fruitless >= of->spec->max_crashes) {
      char *name = ghee_asprintf("logs/%s-0.log", ranks->of->name), *path = name ? ghee_job_folder_file(of->folder, name) : NULL;
      char *tail = path ? ghee_process_tail(path, 12, 1500) : NULL;
      ghee_error_set(err, GHEE_CRASHED, "ranks of train died %u times without a checkpoint between%s%s", of->fruitless,
                     tail && *tail ? "; rank 0 printed last:\n" : "", tail ? tail : "");
      ghee_free(name);
      ghee_free(path);
      ghee_free(tail);
      return GHEE_CRASHED;
    }
    for (uint32_t i = 0; i < world_of(of); i++) GHEE_TRY(of->launcher->ops->kill(of->launcher, stage, i, SIGKILL, err));
  }
  for (uint32_t i = 0; i < world_of(of); i++) alive += ranks->members[i].running;
  if (alive == 0) begin_again(of);
  return GHEE_OK;
}
