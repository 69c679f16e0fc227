/* SPDX-License-Identifier: Apache-2.0
 * The output side of the coordinator: whole chunks are accepted once and their files recorded. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/coordinator/coordinator.h"

static void finish_chunk(void *user, uint32_t chunk, uint64_t commit) {
  (void)commit;
  ghee_coordinator *of = user;
  ghee_chunks_finish(&of->chunks, of->chunks.epoch, chunk);
  of->chunks.leased++;
}

static ghee_status sum_file(void *user, const ghee_ledger_file *file, ghee_error *err) {
  ghee_coordinator *of = user;
  (void)err;
  if (file->dead_letter) of->rows_rejected += file->rows;
  else of->rows_committed += file->rows;
  return GHEE_OK;
}

ghee_status ghee_commits_open(ghee_coordinator *of, ghee_error *err) {
  if (!of->spec->output_log) {
    GHEE_TRY(ghee_object_store_open(of->spec->output_uri, &of->store, err));
    GHEE_TRY(of->store->ops->staging(of->store, of->spec->output_uri, of->id, &of->staging, err));
  }
  if (of->over) return GHEE_OK;
  GHEE_TRY(ghee_ledger_each_chunk(of->ledger, finish_chunk, of, err));
  return ghee_ledger_each_file(of->ledger, sum_file, of, err);
}

ghee_status ghee_commits_on_complete(ghee_coordinator *of, uint32_t worker, const ghee_say_complete *said, ghee_error *err) {
  (void)err;
  bool accepted = ghee_chunks_accept(&of->chunks, &said->attempt, ghee_last_stage(of), worker);
  ghee_say_message answer = {.what = accepted ? GHEE_SAY_ACCEPT : GHEE_SAY_REFUSE, .attempt = said->attempt};
  ghee_crew_say(of, &of->crews[ghee_last_stage(of)].members[worker], &answer);
  return GHEE_OK;
}

/* One more commit that waits for the ledger's answer, with room for its chunks; NULL without memory. */
static ghee_commit *expect(ghee_coordinator *of, size_t n_chunks) {
  ghee_commit *commit = ghee_alloc(sizeof *commit + n_chunks * sizeof *commit->chunks);
  if (!commit) return NULL;
  *commit = (ghee_commit){.ticket = ++of->next_ticket, .n_chunks = n_chunks};
  if (of->commits) of->last_commit->next = commit;
  else of->commits = commit;
  of->last_commit = commit;
  return commit;
}

static void forget_first(ghee_coordinator *of) {
  ghee_commit *first = of->commits;
  of->commits = first->next;
  ghee_free(first);
}

void ghee_commits_close(ghee_coordinator *of) {
  while (of->commits) forget_first(of);
}

static void say_committed(ghee_coordinator *of, uint64_t peer, uint64_t ticket) {
  ghee_crew *sinks = &of->crews[ghee_last_stage(of)];
  ghee_say_message message = {.what = GHEE_SAY_COMMITTED, .ticket = ticket};
  for (uint32_t i = 0; i < sinks->of->workers; i++)
    if (sinks->members[i].peer == peer) ghee_crew_say(of, &sinks->members[i], &message);
}

typedef enum verdict { STAGED_NEW, STAGED_UNDER_WAY, STAGED_RECORDED, STAGED_FOREIGN } verdict;

/* Whether chunks are this worker's to stage; said a second time (in the moment of a WELCOME) they are recorded already, or about to be. */
static verdict judge(const ghee_coordinator *of, uint32_t worker, const ghee_say_staged *said) {
  size_t done = 0, under_way = 0;
  for (size_t i = 0; i < said->chunks.count; i++) {
    const ghee_attempt *attempt = &said->chunks.items[i];
    const ghee_chunk_slot *slot = ghee_chunks_slot(&of->chunks, attempt->epoch, attempt->chunk);
    if (!slot) return STAGED_FOREIGN;
    bool own = slot->token == attempt->token && slot->worker == worker;
    if (slot->state == GHEE_CHUNK_DONE) done++;
    else if (slot->state == GHEE_CHUNK_STAGED && own) under_way++;
    else if (slot->state != GHEE_CHUNK_ACCEPTED || !own) return STAGED_FOREIGN;
  }
  if (done + under_way == 0) return STAGED_NEW;
  return done == said->chunks.count ? STAGED_RECORDED : under_way == said->chunks.count ? STAGED_UNDER_WAY : STAGED_FOREIGN;
}

ghee_status ghee_commits_on_file(ghee_coordinator *of, uint32_t worker, ghee_say_file *said, ghee_error *err) {
  ghee_crew_member *member = &of->crews[ghee_last_stage(of)].members[worker];
  if (!ghee_array_push(&member->files, *said)) return ghee_error_no_memory(err, "recording a file");
  said->name = said->checksum = NULL;
  return GHEE_OK;
}

void ghee_commits_forget_files(ghee_crew_member *member) {
  for (size_t i = 0; i < member->files.count; i++) {
    ghee_free(member->files.items[i].name);
    ghee_free(member->files.items[i].checksum);
  }
  ghee_array_fini(&member->files);
}

/* Files and chunks of one ticket to the ledger. */
static ghee_status record(ghee_coordinator *of, const ghee_crew_member *member, const ghee_commit *commit, ghee_error *err) {
  size_t n = member->files.count;
  ghee_ledger_file *files = ghee_alloc_zero(n, sizeof *files);
  if (!files) return ghee_error_no_memory(err, "recording a file");
  for (size_t i = 0; i < n; i++) {
    const ghee_say_file *said = &member->files.items[i];
    files[i] = (ghee_ledger_file){.name = said->name, .rows = said->rows, .size_bytes = said->size_bytes, .checksum = said->checksum, .dead_letter = said->dead_letter};
  }
  ghee_status status = ghee_ledger_commit(of->ledger, files, n, commit->chunks, commit->n_chunks, commit->ticket, err);
  ghee_free(files);
  return status;
}

static bool files_are_here(const ghee_crew_member *member, const ghee_say_staged *said) {
  bool here = member->files.count == said->files;
  for (size_t i = 0; i < member->files.count && here; i++) here = member->files.items[i].ticket == said->ticket;
  return here;
}

static ghee_status take_staged(ghee_coordinator *of, uint32_t worker, const ghee_say_staged *said, ghee_error *err) {
  const ghee_crew_member *member = &of->crews[ghee_last_stage(of)].members[worker];
  verdict found = judge(of, worker, said);
  if (found == STAGED_RECORDED) say_committed(of, member->peer, said->ticket);
  if (found == STAGED_RECORDED || found == STAGED_UNDER_WAY) return GHEE_OK;
  if (found == STAGED_FOREIGN || !files_are_here(member, said))
    return ghee_error_set(err, GHEE_INTERNAL, "worker %u staged %s that are not its own", worker, found == STAGED_FOREIGN ? "chunks" : "files");
  ghee_commit *commit = expect(of, said->chunks.count);
  if (!commit) return ghee_error_no_memory(err, "recording a file");
  commit->peer = member->peer;
  commit->worker_ticket = said->ticket;
  commit->rows = said->rows;
  commit->rejected = said->rejected;
  for (size_t i = 0; i < said->chunks.count; i++) {
    commit->chunks[i] = said->chunks.items[i].chunk;
    ghee_chunks_stage(&of->chunks, said->chunks.items[i].epoch, commit->chunks[i]);
  }
  return record(of, member, commit, err);
}

ghee_status ghee_commits_on_staged(ghee_coordinator *of, uint32_t worker, ghee_say_staged *said, ghee_error *err) {
  ghee_status status = take_staged(of, worker, said, err);
  ghee_commits_forget_files(&of->crews[ghee_last_stage(of)].members[worker]);
  return status;
}

static ghee_status on_recorded(ghee_coordinator *of, uint64_t ticket, const ghee_error *how, ghee_error *err) {
  const ghee_commit *commit = of->commits;
  if (!commit || commit->ticket != ticket) return ghee_error_set(err, GHEE_INTERNAL, "the ledger answers a commit that is not the oldest");
  if (how->status != GHEE_OK) return ghee_error_set(err, how->status, "a file of the output could not be recorded: %s", how->message);
  for (size_t i = 0; i < commit->n_chunks; i++) ghee_chunks_finish(&of->chunks, of->chunks.epoch, commit->chunks[i]);
  of->rows_rejected += commit->rejected;
  of->rows_committed += commit->rows;
  say_committed(of, commit->peer, commit->worker_ticket);
  forget_first(of);
  return GHEE_OK;
}

ghee_status ghee_commits_on_ledger(ghee_coordinator *of, ghee_error *err) {
  uint64_t ticket;
  ghee_error how;
  while (ghee_ledger_next(of->ledger, &ticket, &how) == GHEE_OK) GHEE_TRY(on_recorded(of, ticket, &how, err));
  return GHEE_OK;
}

/* ---- topics ---- */

/* What a sink has committed to its topic, and the ledger does not know of yet, since the sink or a coordinator died in between. */
static ghee_status take_up(ghee_coordinator *of, uint32_t worker, const ghee_output_mark *mark, ghee_error *err) {
  const ghee_chunk_slot *slot = ghee_chunks_slot(&of->chunks, mark->epoch, mark->chunk);
  if (!slot || slot->state == GHEE_CHUNK_DONE || slot->state == GHEE_CHUNK_STAGED) return GHEE_OK;
  ghee_attempt attempt = {.epoch = mark->epoch, .chunk = mark->chunk, .token = slot->token};
  bool leased = slot->token != 0;
  if (!ghee_chunks_adopt(&of->chunks, &attempt, ghee_last_stage(of), worker))
    return ghee_error_set(err, GHEE_INTERNAL, "chunk %u is in the output's topic, and was given to a worker again", mark->chunk);
  if (leased) of->chunks.leased--; /* adopting has counted it a second time */
  ghee_commit *commit = expect(of, 1);
  if (!commit) return ghee_error_no_memory(err, "recording a chunk");
  commit->rows = mark->rows;
  commit->rejected = mark->rejected;
  commit->chunks[0] = mark->chunk;
  ghee_chunks_stage(&of->chunks, mark->epoch, mark->chunk);
  return ghee_ledger_commit(of->ledger, NULL, 0, commit->chunks, 1, commit->ticket, err);
}

ghee_status ghee_commits_before_sink(ghee_coordinator *of, uint32_t worker, ghee_error *err) {
  bool first_life = of->generation == 1 && of->crews[ghee_last_stage(of)].members[worker].deaths == 0;
  if (!of->spec->output_log || first_life) return GHEE_OK;
  ghee_takeover **takeover = &of->crews[ghee_last_stage(of)].members[worker].takeover;
  ghee_output_mark mark;
  if (!*takeover) {
    GHEE_TRY(ghee_takeover_start(of->folder, of->id, worker, takeover, err));
    GHEE_TRY(ghee_coordinator_watch(of, ghee_takeover_fd(*takeover), err));
    return GHEE_AGAIN;
  }
  ghee_status status = ghee_takeover_result(*takeover, &mark, err);
  if (status != GHEE_AGAIN) *takeover = NULL;
  if (status == GHEE_NOT_FOUND) return GHEE_OK;
  return status == GHEE_OK ? take_up(of, worker, &mark, err) : status;
}

/* Everything is done and recorded. */
static ghee_status complete(ghee_coordinator *of, ghee_error *err) {
  if (!of->spec->output_log) GHEE_TRY(ghee_publication_run(of, err)); /* a topic has it already */
  if (!of->rounds || of->chunks.closed) {
    ghee_coordinator_succeed(of);
    return GHEE_OK;
  }
  GHEE_TRY(ghee_rounds_end(of, err));
  return ghee_ledger_set_state(of->ledger, GHEE_JOB_RUNNING, 0, "", err);
}

ghee_status ghee_commits_settle(ghee_coordinator *of, ghee_error *err) {
  if (of->rounds) {
    GHEE_TRY(ghee_rounds_settle(of, err));
    if (!ghee_rounds_active(of)) return GHEE_OK;
  }
  uint64_t wanted = ghee_chunks_wanted(&of->chunks);
  if (of->chunks.done >= wanted && !of->commits) {
    GHEE_TRY(complete(of, err));
  } else if (of->chunks.done + of->chunks.accepted >= wanted && !of->flushed) {
    ghee_say_message flush = {.what = GHEE_SAY_FLUSH};
    ghee_crew_tell(of, ghee_last_stage(of), &flush);
    of->flushed = true;
  }
  return GHEE_OK;
}
