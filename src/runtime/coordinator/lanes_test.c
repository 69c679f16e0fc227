/* SPDX-License-Identifier: Apache-2.0
 * Whole epochs of readers that come, die and come again, in the strictest order: no chunk is read to its end before all of its window are being read,
 * since each round takes a batch of each, and nothing of a window before all of the windows before it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "runtime/coordinator/lanes.h"

enum { MOST_WORKERS = 24, MOST_CHUNKS = 80, EPOCHS = 3 };

typedef struct play {
  ghee_lanes lanes;
  ghee_chunks table;
  uint32_t workers, interleave, chunks;
  ghee_attempt held[EPOCHS][MOST_CHUNKS];  /* token 0: with nobody */
  uint32_t by[EPOCHS][MOST_CHUNKS];        /* who held it last */
  bool done[EPOCHS][MOST_CHUNKS];
  uint32_t leases;                         /* of all time */
  ghee_random random;
} play;

static uint32_t below(play *p, uint32_t bound) { return (uint32_t)ghee_random_below(&p->random, bound); }

static void begin(play *p, uint32_t workers, uint32_t interleave, uint32_t chunks, uint64_t seed) {
  memset(p, 0, sizeof *p);
  p->workers = workers;
  p->interleave = interleave;
  p->chunks = chunks;
  ghee_random_init(&p->random, seed, workers, chunks);
  assert_int_equal(ghee_lanes_init(&p->lanes, workers, interleave, NULL), GHEE_OK);
  assert_int_equal(ghee_chunks_init(&p->table, chunks, EPOCHS, 1, NULL), GHEE_OK);
  for (uint32_t i = 0; i < workers; i++) p->lanes.readers[i].wanted = true;
}

static void end(play *p) {
  ghee_lanes_fini(&p->lanes);
  ghee_chunks_fini(&p->table);
}

static void lease_all(play *p) {
  uint32_t worker;
  ghee_attempt got;
  while (ghee_lanes_lease(&p->lanes, &p->table, &worker, &got)) {
    assert_true(p->lanes.readers[worker].here);
    assert_int_equal(p->held[got.epoch][got.chunk].token, 0); /* with nobody else */
    assert_false(p->done[got.epoch][got.chunk]);
    p->held[got.epoch][got.chunk] = got;
    p->by[got.epoch][got.chunk] = worker;
    p->leases++;
  }
}

static void come(play *p, uint32_t worker) {
  ghee_lane_reader *reader = &p->lanes.readers[worker];
  reader->here = true;
  reader->want = ghee_lease_capacity(p->workers, p->interleave);
}

static void lost(void *user, const ghee_attempt *attempt) {
  play *p = user;
  assert_int_equal(p->held[attempt->epoch][attempt->chunk].token, attempt->token);
  p->held[attempt->epoch][attempt->chunk] = (ghee_attempt){0};
}

static void die(play *p, uint32_t worker) {
  p->lanes.readers[worker].here = false;
  p->lanes.readers[worker].want = 0;
  ghee_chunks_bury(&p->table, 0, worker, lost, p);
}

/* The window that the ranks are in: its first chunk. */
static bool window_now(const play *p, uint32_t *epoch, uint32_t *first, uint32_t *behind) {
  for (*epoch = 0; *epoch < EPOCHS; ++*epoch)
    for (*first = 0; *first < p->chunks; *first += p->interleave) {
      *behind = *first + p->interleave < p->chunks ? *first + p->interleave : p->chunks;
      for (uint32_t c = *first; c < *behind; c++)
        if (!p->done[*epoch][c]) return true;
    }
  return false;
}

/* A chunk of the window is read to its end; false: none can be, as one of them is with nobody. */
static bool finish_one(play *p, uint32_t epoch, uint32_t first, uint32_t behind) {
  uint32_t open[MOST_CHUNKS], n = 0;
  for (uint32_t c = first; c < behind; c++) {
    if (p->done[epoch][c]) continue;
    if (!p->held[epoch][c].token) return false;
    open[n++] = c;
  }
  uint32_t chunk = open[below(p, n)];
  ghee_chunks_finish(&p->table, epoch, chunk);
  p->done[epoch][chunk] = true;
  p->held[epoch][chunk] = (ghee_attempt){0};
  p->lanes.readers[p->by[epoch][chunk]].want++;
  return true;
}

/* Who is away comes back, or somebody dies; with nobody away and no death nothing is left that could happen. */
static bool disturb(play *p, bool stuck, uint32_t deaths_in_100) {
  uint32_t away[MOST_WORKERS], n = 0;
  for (uint32_t i = 0; i < p->workers; i++)
    if (!p->lanes.readers[i].here) away[n++] = i;
  if (n > 0 && (stuck || below(p, 3) == 0)) {
    come(p, away[below(p, n)]);
    return true;
  }
  if (!stuck && below(p, 100) < deaths_in_100) die(p, below(p, p->workers));
  return !stuck;
}

/* Until everything is done. */
static void run_out(play *p, uint32_t deaths_in_100) {
  uint32_t epoch, first, behind;
  while (window_now(p, &epoch, &first, &behind)) {
    lease_all(p);
    bool finished = finish_one(p, epoch, first, behind);
    assert_true(disturb(p, !finished, deaths_in_100)); /* else the job stands still for ever */
  }
  assert_int_equal(p->table.done, (uint64_t)p->chunks * EPOCHS);
  assert_true(p->leases >= p->chunks * EPOCHS);
}

typedef struct shape { uint32_t workers, interleave, chunks; } shape;
static const shape shapes[] = {{16, 16, 64}, {16, 16, 66}, {16, 16, 5}, {3, 16, 50}, {12, 16, 64}, {24, 4, 37}, {1, 16, 20}, {7, 1, 9}, {5, 80, 77}};

static void nothing_stands_still_whoever_dies(void **state) {
  (void)state;
  static play p;
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (uint64_t seed = 0; seed < 40; seed++) {
      begin(&p, shapes[s].workers, shapes[s].interleave, shapes[s].chunks, seed);
      run_out(&p, (uint32_t)seed);
      end(&p);
    }
}

/* Without deaths each chunk is leased once, and of each window no reader has two chunks more than another. */
static void lanes_are_shared_evenly(void **state) {
  (void)state;
  static play p;
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (uint64_t seed = 0; seed < 20; seed++) {
      begin(&p, shapes[s].workers, shapes[s].interleave, shapes[s].chunks, seed);
      for (uint32_t i = 0; i < p.workers; i++) come(&p, i);
      run_out(&p, 0);
      assert_int_equal(p.leases, p.chunks * EPOCHS);
      for (uint32_t e = 0; e < EPOCHS; e++)
        for (uint32_t c = 0; c < p.chunks; c += p.interleave) {
          uint32_t has[MOST_WORKERS] = {0}, most = 0, least = UINT32_MAX;
          for (uint32_t k = c; k < c + p.interleave && k < p.chunks; k++) has[p.by[e][k]]++;
          for (uint32_t i = 0; i < p.workers; i++) {
            most = has[i] > most ? has[i] : most;
            least = has[i] < least ? has[i] : least;
          }
          assert_true(most <= least + 1);
        }
      end(&p);
    }
}

/* Of two readers one comes late: the other has the window until then, but not the spare. */
static void who_comes_first_leaves_something(void **state) {
  (void)state;
  static play p;
  begin(&p, 2, 2, 6, 0);
  come(&p, 1);
  lease_all(&p);
  assert_int_equal(p.leases, 1);
  assert_int_equal(p.by[0][0], 1); /* though it would be another's, who is not there */
  come(&p, 0);
  lease_all(&p);
  assert_int_equal(p.leases, 4);
  assert_int_equal(p.by[0][1], 0);
  assert_int_equal(p.by[0][2], 0);
  assert_int_equal(p.by[0][3], 1);
  run_out(&p, 0);
  end(&p);
}

/* A reader that is through early does not take the chunk of one that is not; but it does when the window is needed. */
static void a_chunk_waits_for_its_owner_while_there_is_work_before_it(void **state) {
  (void)state;
  static play p;
  begin(&p, 2, 2, 6, 0);
  come(&p, 0);
  come(&p, 1);
  lease_all(&p);
  assert_int_equal(p.leases, 4);
  ghee_chunks_finish(&p.table, 0, 1);
  p.lanes.readers[1].want++;
  lease_all(&p);
  assert_int_equal(p.leases, 4); /* chunk 4 is reader 0's, who reads 0 and 2 */
  for (uint32_t c = 0; c < 4; c++) ghee_chunks_finish(&p.table, 0, c); /* reader 0 has not said yet that it wants another */
  lease_all(&p);
  assert_int_equal(p.by[0][4], 1);
  end(&p);
}

static void any_order_goes_to_who_has_least(void **state) {
  (void)state;
  static play p;
  begin(&p, 3, 0, 9, 0);
  for (uint32_t i = 0; i < 3; i++) come(&p, i);
  p.lanes.readers[0].want = 1;
  lease_all(&p);
  const uint32_t expected[] = {1, 2, 0, 1, 2};
  assert_int_equal(p.leases, 5);
  for (uint32_t c = 0; c < 5; c++) assert_int_equal(p.by[0][c], expected[c]);
  p.lanes.readers[2].want++;
  lease_all(&p);
  assert_int_equal(p.by[0][5], 2);
  end(&p);
}

static void needs_memory(void **state) {
  (void)state;
  ghee_lanes lanes;
  ghee_memory_fail_at(1);
  assert_int_equal(ghee_lanes_init(&lanes, 4, 16, NULL), GHEE_NO_MEMORY);
  ghee_memory_fail_at(0);
  ghee_lanes_fini(&lanes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_stands_still_whoever_dies), cmocka_unit_test(lanes_are_shared_evenly),
      cmocka_unit_test(who_comes_first_leaves_something),  cmocka_unit_test(a_chunk_waits_for_its_owner_while_there_is_work_before_it),
      cmocka_unit_test(any_order_goes_to_who_has_least),   cmocka_unit_test(needs_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
