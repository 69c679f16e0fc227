/* SPDX-License-Identifier: Apache-2.0
 * The chunk table against a model that looks at everything: thousands of random leases, deaths, reports of dead attempts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "runtime/coordinator/chunks.h"

enum { MOST_CHUNKS = 24, MOST_EPOCHS = 5, WORKERS = 3, STAGES = 3, HISTORY = 4096 };

/* ---- the model: what is true of every chunk of every epoch ---- */

typedef struct truth { ghee_chunk_state state; uint64_t token; uint32_t stage, worker; bool returned; } truth;

typedef struct model {
  ghee_chunks table;
  uint32_t chunks, epochs;
  truth at[MOST_EPOCHS][MOST_CHUNKS];
  ghee_attempt history[HISTORY];      /* every attempt that ever was */
  size_t n_history;
  uint64_t newest;                    /* token */
  ghee_random random;
} model;

static uint32_t below(model *m, uint32_t bound) { return (uint32_t)ghee_random_below(&m->random, bound); }

static void begin(model *m, uint32_t chunks, uint32_t epochs, uint64_t seed) {
  memset(m, 0, sizeof *m);
  m->chunks = chunks;
  m->epochs = epochs;
  ghee_random_init(&m->random, seed, chunks, epochs);
  assert_int_equal(ghee_chunks_init(&m->table, chunks, epochs, 1, NULL), GHEE_OK);
}

/* The oldest epoch that is not all done, the last if all are. */
static uint32_t oldest(const model *m) {
  for (uint32_t e = 0; e + 1 < m->epochs; e++)
    for (uint32_t c = 0; c < m->chunks; c++)
      if (m->at[e][c].state != GHEE_CHUNK_DONE) return e;
  return m->epochs - 1;
}

static bool open_epoch(const model *m, uint32_t epoch) { return epoch >= oldest(m) && epoch < oldest(m) + 2 && epoch < m->epochs; }

/* What a lease has to give: the first that came back, else the first that is todo. */
static bool expected(const model *m, uint32_t *epoch, uint32_t *chunk, bool *again) {
  for (int returned = 1; returned >= 0; returned--)
    for (uint32_t e = oldest(m); e < m->epochs && open_epoch(m, e); e++)
      for (uint32_t c = 0; c < m->chunks; c++) {
        const truth *of = &m->at[e][c];
        if (of->state != GHEE_CHUNK_TODO || of->returned != (returned == 1)) continue;
        *epoch = e;
        *chunk = c;
        *again = returned == 1;
        return true;
      }
  return false;
}

/* Whether all before some chunk is done. */
static void compare_settled(model *m) {
  uint32_t epoch = below(m, m->epochs), chunk = below(m, m->chunks);
  bool done = true;
  for (uint32_t e = 0; e <= epoch; e++)
    for (uint32_t c = 0; c < (e < epoch ? m->chunks : chunk); c++) done &= m->at[e][c].state == GHEE_CHUNK_DONE;
  assert_int_equal(ghee_chunks_settled(&m->table, epoch, chunk), done);
}

static void compare(const model *m) {
  uint64_t done = 0, accepted = 0;
  assert_int_equal(m->table.epoch, oldest(m));
  for (uint32_t e = 0; e < m->epochs; e++)
    for (uint32_t c = 0; c < m->chunks; c++) {
      const truth *of = &m->at[e][c];
      const ghee_chunk_slot *slot = ghee_chunks_slot(&m->table, e, c);
      done += of->state == GHEE_CHUNK_DONE;
      accepted += of->state == GHEE_CHUNK_ACCEPTED || of->state == GHEE_CHUNK_STAGED;
      assert_int_equal(slot != NULL, open_epoch(m, e));
      if (!slot) continue;
      assert_int_equal(slot->state, of->state);
      if (of->state == GHEE_CHUNK_TODO || of->state == GHEE_CHUNK_DONE) continue;
      assert_int_equal(slot->token, of->token);
      assert_int_equal(slot->stage, of->stage);
      assert_int_equal(slot->worker, of->worker);
    }
  assert_int_equal(m->table.done, done);
  assert_int_equal(m->table.accepted, accepted);
}

/* ---- events ---- */

static void lease(model *m) {
  uint32_t epoch, chunk, worker = below(m, WORKERS);
  ghee_attempt got;
  ghee_chunk_next next;
  bool again, want = expected(m, &epoch, &chunk, &again);
  assert_int_equal(ghee_chunks_next(&m->table, &next), want);
  if (want) {
    assert_int_equal(next.epoch, epoch);
    assert_int_equal(next.chunk, chunk);
    assert_int_equal(next.again, again);
  }
  assert_int_equal(ghee_chunks_lease(&m->table, worker, &got), want);
  if (!want) return;
  assert_int_equal(got.epoch, epoch);
  assert_int_equal(got.chunk, chunk);
  assert_true(got.token > m->newest);
  m->newest = got.token;
  m->at[epoch][chunk] = (truth){.state = GHEE_CHUNK_HELD, .token = got.token, .worker = worker};
  assert_true(m->n_history < HISTORY);
  m->history[m->n_history++] = got;
}

/* The truth of an attempt if it is the living one of its chunk. */
static truth *living(model *m, const ghee_attempt *attempt) {
  truth *of = &m->at[attempt->epoch][attempt->chunk];
  return open_epoch(m, attempt->epoch) && of->state == GHEE_CHUNK_HELD && of->token == attempt->token ? of : NULL;
}

/* Any attempt there ever was, mostly one of the last. */
static const ghee_attempt *some(model *m) {
  if (m->n_history == 0) return NULL;
  size_t back = below(m, 8) ? below(m, 12) : below(m, (uint32_t)m->n_history);
  return &m->history[m->n_history - 1 - (back < m->n_history ? back : m->n_history - 1)];
}

static void pass(model *m, const ghee_attempt *attempt) {
  truth *of = living(m, attempt);
  uint32_t stage = below(m, STAGES), worker = below(m, WORKERS);
  assert_int_equal(ghee_chunks_pass(&m->table, attempt, stage, worker), of != NULL);
  if (!of || stage < of->stage) return;
  of->stage = stage;
  of->worker = worker;
}

static void lose(model *m, const ghee_attempt *attempt) {
  truth *of = living(m, attempt);
  assert_int_equal(ghee_chunks_lose(&m->table, attempt), of != NULL);
  if (of) *of = (truth){.state = GHEE_CHUNK_TODO, .returned = true};
}

static void accept(model *m, const ghee_attempt *attempt) {
  truth *of = living(m, attempt);
  uint32_t worker = below(m, WORKERS);
  assert_int_equal(ghee_chunks_accept(&m->table, attempt, STAGES - 1, worker), of != NULL);
  if (of) *of = (truth){.state = GHEE_CHUNK_ACCEPTED, .token = attempt->token, .stage = STAGES - 1, .worker = worker};
}

static void stage(model *m, const ghee_attempt *attempt) {
  truth *of = &m->at[attempt->epoch][attempt->chunk];
  ghee_chunks_stage(&m->table, attempt->epoch, attempt->chunk);
  if (of->state == GHEE_CHUNK_ACCEPTED) of->state = GHEE_CHUNK_STAGED;
}

static void finish(model *m, const ghee_attempt *attempt) {
  truth *of = &m->at[attempt->epoch][attempt->chunk];
  ghee_chunks_finish(&m->table, attempt->epoch, attempt->chunk);
  if (open_epoch(m, attempt->epoch)) *of = (truth){.state = GHEE_CHUNK_DONE};
}

typedef struct buried { ghee_attempt items[2 * MOST_CHUNKS]; size_t n; } buried;
static void note(void *user, const ghee_attempt *attempt) {
  buried *to = user;
  to->items[to->n++] = *attempt;
}

static void bury(model *m) {
  uint32_t stage = below(m, STAGES), worker = below(m, WORKERS);
  buried told = {.n = 0};
  size_t n = 0;
  ghee_chunks_bury(&m->table, stage, worker, note, &told);
  for (uint32_t e = 0; e < m->epochs; e++)
    for (uint32_t c = 0; c < m->chunks; c++) {
      truth *of = &m->at[e][c];
      bool its = open_epoch(m, e) && (of->state == GHEE_CHUNK_HELD || of->state == GHEE_CHUNK_ACCEPTED) && of->stage == stage && of->worker == worker;
      if (!its) continue;
      assert_true(n < told.n);
      assert_int_equal(told.items[n].epoch, e);
      assert_int_equal(told.items[n].chunk, c);
      assert_int_equal(told.items[n++].token, of->token);
      *of = (truth){.state = GHEE_CHUNK_TODO, .returned = true};
    }
  assert_int_equal(n, told.n);
}

/* The coordinator dies: done is what the ledger has, accepted is what living sinks say, the rest is void. */
static void new_generation(model *m) {
  uint32_t generation = m->table.generation + 1;
  ghee_chunks_fini(&m->table);
  assert_int_equal(ghee_chunks_init(&m->table, m->chunks, m->epochs, generation, NULL), GHEE_OK);
  for (uint32_t e = 0; e < m->epochs; e++)
    for (uint32_t c = 0; c < m->chunks; c++)
      if (m->at[e][c].state == GHEE_CHUNK_DONE) ghee_chunks_finish(&m->table, e, c);
  for (uint32_t e = 0; e < m->epochs; e++)
    for (uint32_t c = 0; c < m->chunks; c++) {
      truth *of = &m->at[e][c];
      ghee_attempt attempt = {.epoch = e, .chunk = c, .token = of->token};
      if (of->state == GHEE_CHUNK_DONE) {
        assert_false(ghee_chunks_adopt(&m->table, &attempt, STAGES - 1, 0));
      } else if ((of->state == GHEE_CHUNK_ACCEPTED || of->state == GHEE_CHUNK_STAGED) && below(m, 4)) { /* the ledger does not have it */
        of->state = GHEE_CHUNK_ACCEPTED;
        assert_true(ghee_chunks_adopt(&m->table, &attempt, of->stage, of->worker));
        assert_false(ghee_chunks_adopt(&m->table, &attempt, of->stage, of->worker)); /* by another sink, later */
      } else {
        *of = (truth){.state = GHEE_CHUNK_TODO};
      }
      of->returned = false;
    }
  m->newest = (uint64_t)generation << 32;
}

static void rewind_to(model *m, uint32_t epoch, uint32_t window, uint32_t interleave) {
  ghee_place place = {.epoch = epoch, .window = window};
  assert_true(ghee_chunks_rewind(&m->table, &place, interleave) >= m->newest);
  for (uint32_t e = 0; e < m->epochs; e++)
    for (uint32_t c = 0; c < m->chunks; c++) {
      bool before = e < epoch || (e == epoch && c < (uint64_t)window * interleave);
      m->at[e][c] = (truth){.state = before ? GHEE_CHUNK_DONE : GHEE_CHUNK_TODO};
    }
}

/* ---- tests ---- */

static void step(model *m, bool trains) {
  uint32_t what = below(m, 100);
  const ghee_attempt *attempt = some(m);
  if (what < 45 || !attempt) lease(m);
  else if (what < 60) pass(m, attempt);
  else if (what < 66) lose(m, attempt);
  else if (what < 78 && !trains) accept(m, attempt);
  else if (what < 84 && !trains) stage(m, attempt);
  else if (what < 94 && (trains ? living(m, attempt) != NULL : m->at[attempt->epoch][attempt->chunk].state == GHEE_CHUNK_STAGED)) finish(m, attempt);
  else if (what < 98) bury(m);
  else if (what < 99 && trains) rewind_to(m, below(m, m->epochs + 1), below(m, 8), 1 + below(m, 6));
  else if (what < 99) new_generation(m);
}

/* Finishes all that is left: it must come to an end with every chunk of every epoch done. */
static void run_out(model *m) {
  for (uint32_t left = 2 * m->chunks * m->epochs; left > 0 && m->table.done < (uint64_t)m->chunks * m->epochs; left--) {
    lease(m);
    for (uint32_t e = 0; e < m->epochs; e++)
      for (uint32_t c = 0; c < m->chunks; c++)
        if (open_epoch(m, e) && m->at[e][c].state != GHEE_CHUNK_TODO) finish(m, &(ghee_attempt){.epoch = e, .chunk = c});
    compare(m);
  }
  assert_int_equal(m->table.done, (uint64_t)m->chunks * m->epochs);
  assert_int_equal(ghee_chunks_wanted(&m->table), (uint64_t)m->chunks * m->epochs);
  ghee_attempt none;
  assert_false(ghee_chunks_lease(&m->table, 0, &none));
}

static void play(uint32_t chunks, uint32_t epochs, uint64_t seed) {
  static model m;
  begin(&m, chunks, epochs, seed);
  for (int i = 0; i < 3000; i++) {
    step(&m, epochs > 1);
    compare(&m);
    compare_settled(&m);
  }
  run_out(&m);
  ghee_chunks_fini(&m.table);
}

static void random_events_of_a_job_with_a_sink(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 40; seed++) play(1 + (uint32_t)seed % MOST_CHUNKS, 1, seed);
}

static void random_events_of_a_job_that_trains(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 40; seed++) play(1 + (uint32_t)seed % MOST_CHUNKS, 2 + (uint32_t)seed % (MOST_EPOCHS - 1), seed);
}

/* A checkpoint behind the last batch of an epoch: everything of that epoch is done, and the two after it are to be had. */
static void goes_on_from_the_end_of_an_epoch(void **state) {
  (void)state;
  static model m;
  begin(&m, 5, 4, 0);
  rewind_to(&m, 1, 3, 2);
  compare(&m);
  run_out(&m);
  ghee_chunks_fini(&m.table);
}

static void goes_on_from_the_end_of_all(void **state) {
  (void)state;
  static model m;
  begin(&m, 5, 2, 0);
  rewind_to(&m, 2, 0, 2);
  compare(&m);
  run_out(&m);
  ghee_chunks_fini(&m.table);
}

/* The younger of the two open epochs is done first. */
static void an_epoch_overtakes_another(void **state) {
  (void)state;
  static model m;
  begin(&m, 3, 4, 0);
  for (int i = 0; i < 6; i++) lease(&m);
  for (uint32_t c = 0; c < 3; c++) finish(&m, &(ghee_attempt){.epoch = 1, .chunk = c});
  for (uint32_t c = 0; c < 3; c++) finish(&m, &(ghee_attempt){.epoch = 0, .chunk = c});
  compare(&m);
  run_out(&m);
  ghee_chunks_fini(&m.table);
}

static void after_a_limit_only_what_was_leased_is_wanted(void **state) {
  (void)state;
  ghee_chunks table;
  ghee_attempt one, two, none;
  assert_int_equal(ghee_chunks_init(&table, 10, 1, 1, NULL), GHEE_OK);
  assert_true(ghee_chunks_lease(&table, 0, &one) && ghee_chunks_lease(&table, 1, &two));
  table.closed = true;
  assert_int_equal(ghee_chunks_wanted(&table), 2);
  assert_false(ghee_chunks_lease(&table, 0, &none));
  assert_true(ghee_chunks_lose(&table, &two));
  assert_true(ghee_chunks_lease(&table, 0, &none)); /* what came back still counts */
  assert_int_equal(none.chunk, 1);
  assert_int_equal(ghee_chunks_wanted(&table), 2);
  ghee_chunks_fini(&table);
}

/* A returned chunk is leased again even if there was no memory to note it. */
static void nothing_is_forgotten_without_memory(void **state) {
  (void)state;
  ghee_chunks table;
  ghee_attempt got[4], again;
  assert_int_equal(ghee_chunks_init(&table, 4, 1, 1, NULL), GHEE_OK);
  for (int i = 0; i < 4; i++) assert_true(ghee_chunks_lease(&table, 0, &got[i]));
  ghee_memory_fail_at(1);
  assert_true(ghee_chunks_lose(&table, &got[2]));
  ghee_memory_fail_at(0);
  assert_true(ghee_chunks_lease(&table, 0, &again));
  assert_int_equal(again.chunk, 2);
  assert_true(again.token > got[3].token);
  assert_false(ghee_chunks_lease(&table, 0, &again));
  assert_int_equal(table.leased, 4);
  ghee_chunks_fini(&table);
  for (long n = 1; n <= 2; n++) {
    ghee_memory_fail_at(n);
    assert_int_equal(ghee_chunks_init(&table, 4, 1, 1, NULL), GHEE_NO_MEMORY);
    ghee_memory_fail_at(0);
  }
}

static void a_job_without_chunks_is_done(void **state) {
  (void)state;
  ghee_chunks table;
  ghee_attempt none;
  assert_int_equal(ghee_chunks_init(&table, 0, 3, 1, NULL), GHEE_OK);
  assert_false(ghee_chunks_lease(&table, 0, &none));
  assert_int_equal(ghee_chunks_wanted(&table), 0);
  ghee_chunks_rewind(&table, &(ghee_place){.epoch = 1}, 16);
  assert_false(ghee_chunks_lease(&table, 0, &none));
  ghee_chunks_fini(&table);
}

static void a_job_without_end_turns(void **state) {
  (void)state;
  ghee_chunks table;
  ghee_attempt old, new;
  assert_int_equal(ghee_chunks_init(&table, 0, 1, 1, NULL), GHEE_OK);
  assert_int_equal(ghee_chunks_turn(&table, 2, 7, NULL), GHEE_OK);
  assert_true(ghee_chunks_lease(&table, 0, &old) && old.epoch == 7 && old.chunk == 0);
  assert_true(table.done < ghee_chunks_wanted(&table));
  ghee_chunks_finish(&table, 7, 0);
  ghee_chunks_finish(&table, 7, 1);
  assert_int_equal(table.done, ghee_chunks_wanted(&table));
  assert_int_equal(ghee_chunks_turn(&table, 3, 8, NULL), GHEE_OK);
  assert_true(table.done < ghee_chunks_wanted(&table));
  assert_true(ghee_chunks_lease(&table, 0, &new) && new.epoch == 8 && new.chunk == 0 && new.token > old.token);
  assert_false(ghee_chunks_accept(&table, &old, 0, 0)); /* of a round that is over */
  for (uint32_t i = 0; i < 3; i++) ghee_chunks_finish(&table, 8, i);
  assert_int_equal(table.done, ghee_chunks_wanted(&table));
  ghee_chunks_fini(&table);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_events_of_a_job_with_a_sink),           cmocka_unit_test(random_events_of_a_job_that_trains),
      cmocka_unit_test(goes_on_from_the_end_of_an_epoch),             cmocka_unit_test(goes_on_from_the_end_of_all),
      cmocka_unit_test(an_epoch_overtakes_another),                   cmocka_unit_test(after_a_limit_only_what_was_leased_is_wanted),
      cmocka_unit_test(nothing_is_forgotten_without_memory),          cmocka_unit_test(a_job_without_chunks_is_done),
      cmocka_unit_test(a_job_without_end_turns)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
