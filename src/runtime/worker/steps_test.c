/* SPDX-License-Identifier: Apache-2.0
 * Steps of a rank whose batches come from a sender in this process. */
#include "base/file.h"
#include "batch/frame.h"
#include "plan/sample.h"
#include "runtime/worker/steps.h"

enum { STEP_ROWS = 4, BATCH_ROWS = 3, RANK = 7 };

static const sample_type id_column[] = {{"id", "l", false, NULL, 0, NULL}};

typedef struct fixture {
  char folder[64];
  ghee_job_spec spec;
  ghee_worker worker;
  ghee_schema *schema;
  ghee_sender *sender;
  ghee_steps *steps;
  int ready, ready_with_rows;
} fixture;

static void count(void *user, bool have) {
  fixture *of = user;
  of->ready++;
  of->ready_with_rows += have;
}

static void ignore(void *user, const ghee_sender_event *event) {
  (void)user;
  (void)event;
}

/* Two chunks in one window. */
static void open_fixture(fixture *of) {
  ghee_buffer block = {0};
  const char *address;
  *of = (fixture){.folder = "/tmp/ghee-steps-XXXXXX", .spec = {.n_stages = 2}};
  assert_non_null(mkdtemp(of->folder));
  for (int i = 0; i < 2; i++) of->spec.stages[i] = (ghee_stage_spec){.workers = 1, .buffer_bytes = 1 << 20, .batch_rows = STEP_ROWS};
  of->worker = (ghee_worker){.folder = of->folder, .spec = &of->spec, .stage = 1, .of = &of->spec.stages[1], .transport = &ghee_stream_shm};
  pthread_mutex_init(&of->worker.locked.mutex, NULL);
  sample_plan(0, &block);
  uint8_t *copy = ghee_alloc_aligned(block.size);
  memcpy(copy, block.data, block.size);
  SAMPLE_OK(ghee_plan_of_block(copy, block.size, false, &of->worker.plan, err));
  ghee_buffer_fini(&block);
  of->schema = sample_schema(id_column, 1);
  SAMPLE_OK(ghee_steps_open(&of->worker, count, of, &of->steps, &address, err));
  ghee_stream_options options = {.folder = of->folder, .arena_bytes = 1 << 20};
  SAMPLE_OK(ghee_stream_shm.sender_open(&options, ignore, NULL, &of->sender, err));
  SAMPLE_OK(ghee_stream_shm.connect(of->sender, address, 1, RANK, err));
}

static void end_job(fixture *of) {
  pthread_mutex_lock(&of->worker.locked.mutex);
  of->worker.locked.ending = true;
  pthread_mutex_unlock(&of->worker.locked.mutex);
  ghee_steps_wake(of->steps);
}

static void close_fixture(fixture *of) {
  end_job(of);
  ghee_steps_close(of->steps);
  ghee_stream_shm.sender_close(of->sender, false);
  ghee_schema_unref(of->schema);
  ghee_plan_free(of->worker.plan);
  pthread_mutex_destroy(&of->worker.locked.mutex);
  assert_int_equal(ghee_dir_remove_all(of->folder, NULL), GHEE_OK);
}

static void send_bytes(fixture *of, const ghee_stream_head *head, const void *data, size_t size) {
  ghee_slot slot;
  SAMPLE_OK(ghee_stream_shm.reserve(of->sender, size, true, &slot, err));
  memcpy(slot.data, data, size);
  SAMPLE_OK(ghee_stream_shm.send(of->sender, RANK, head, &slot, size, err));
}

static void send_schema(fixture *of) {
  ghee_buffer bytes = {0};
  SAMPLE_OK(ghee_schema_encode(of->schema, &bytes, err));
  send_bytes(of, &(ghee_stream_head){.kind = GHEE_FRAME_SCHEMA, .epoch = UINT32_MAX}, bytes.data, bytes.size);
  ghee_buffer_fini(&bytes);
}

/* Row r of batch s of chunk p is 100 p + 10 s + r. */
static void send_batch(fixture *of, uint32_t chunk, uint32_t seq) {
  int64_t ids[BATCH_ROWS];
  for (int r = 0; r < BATCH_ROWS; r++) ids[r] = 100 * chunk + 10 * seq + r;
  struct ArrowArray child = {.length = BATCH_ROWS, .n_buffers = 2, .buffers = (const void *[]){NULL, ids}, .release = sample_array_release}, *children[] = {&child};
  ghee_batch batch = {.schema = of->schema, .array = {.length = BATCH_ROWS, .n_buffers = 1, .buffers = (const void *[]){NULL}, .n_children = 1, .children = children}};
  uint64_t size;
  SAMPLE_OK(ghee_frame_size(&batch, &size, err));
  uint8_t *frame = ghee_alloc_aligned(size);
  SAMPLE_OK(ghee_frame_write(&batch, frame, size, err));
  send_bytes(of, &(ghee_stream_head){.kind = GHEE_FRAME_BATCH, .chunk = chunk, .seq = seq}, frame, size);
  ghee_free_aligned(frame);
}

static void send_end(fixture *of, uint32_t chunk, uint32_t batches) {
  SAMPLE_OK(ghee_stream_shm.send(of->sender, RANK, &(ghee_stream_head){.kind = GHEE_FRAME_END, .chunk = chunk, .seq = batches}, NULL, 0, err));
}

/* Chunk 0 has two batches, chunk 1 has one, and they come in another order than they are to be handed out. */
static void send_all(fixture *of) {
  send_schema(of);
  send_batch(of, 0, 1);
  send_batch(of, 1, 0);
  send_batch(of, 0, 0);
  send_end(of, 1, 1);
  send_end(of, 0, 2);
}

static ghee_position expect_step(fixture *of, const int64_t *ids, int n) {
  ghee_step step;
  ghee_steps_prepare(of->steps);
  SAMPLE_OK(ghee_steps_take(of->steps, &step, err));
  assert_int_equal(step.have, n > 0);
  if (n > 0) {
    assert_int_equal(ghee_batch_rows(&step.batch), n);
    const struct ArrowArray *column = step.batch.array.children[0];
    assert_memory_equal((const int64_t *)column->buffers[1] + column->offset, ids, (size_t)n * sizeof *ids);
  }
  ghee_batch_release(&step.batch);
  return step.left;
}

static void expect_left(const ghee_position *left, uint32_t seq, uint32_t chunk, int64_t row) {
  assert_int_equal(left->place.epoch, 0);
  assert_int_equal(left->place.seq, seq);
  assert_int_equal(left->place.chunk, chunk);
  assert_int_equal(left->row, row);
}

static void rows_come_in_order_and_say_what_is_left(void **state) {
  (void)state;
  fixture of;
  open_fixture(&of);
  send_all(&of);
  ghee_position left = expect_step(&of, (const int64_t[]){0, 1, 2, 100}, 4);
  expect_left(&left, 0, 1, 1);
  left = expect_step(&of, (const int64_t[]){101, 102, 10, 11}, 4);
  expect_left(&left, 1, 0, 2);
  expect_step(&of, (const int64_t[]){12}, 1);
  expect_step(&of, NULL, 0);
  expect_step(&of, NULL, 0); /* said until the next epoch */
  assert_int_equal(of.ready, 5);
  assert_int_equal(of.ready_with_rows, 3);
  ghee_schema *schema = ghee_steps_schema(of.steps);
  assert_true(ghee_schema_equal(schema, of.schema));
  ghee_schema_unref(schema);
  close_fixture(&of);
}

static void goes_on_in_the_middle_of_a_batch(void **state) {
  (void)state;
  fixture of;
  open_fixture(&of);
  ghee_steps_seek(of.steps, &(ghee_position){.place = {.seq = 0, .chunk = 1}, .row = 1});
  send_all(&of);
  expect_step(&of, (const int64_t[]){101, 102, 10, 11}, 4);
  expect_step(&of, (const int64_t[]){12}, 1);
  expect_step(&of, NULL, 0);
  close_fixture(&of);
}

static void the_end_of_the_job_is_heard(void **state) {
  (void)state;
  fixture of;
  ghee_step step;
  open_fixture(&of);
  ghee_steps_prepare(of.steps); /* nothing comes */
  end_job(&of);
  assert_int_equal(ghee_steps_take(of.steps, &step, NULL), GHEE_CANCELED);
  close_fixture(&of);
}

/* A step lies ready that nobody takes, and a batch waits behind it. */
static void what_is_not_taken_is_freed(void **state) {
  (void)state;
  fixture of;
  open_fixture(&of);
  send_all(&of);
  ghee_steps_prepare(of.steps);
  close_fixture(&of);
}

static void a_failure_stays(void **state) {
  (void)state;
  fixture of;
  ghee_step step;
  ghee_error err;
  open_fixture(&of);
  send_batch(&of, 0, 0); /* before its schema */
  ghee_steps_prepare(of.steps);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(ghee_steps_take(of.steps, &step, &err), GHEE_CORRUPT);
    assert_non_null(strstr(err.message, "before its schema"));
  }
  close_fixture(&of);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_come_in_order_and_say_what_is_left), cmocka_unit_test(goes_on_in_the_middle_of_a_batch),
      cmocka_unit_test(the_end_of_the_job_is_heard), cmocka_unit_test(what_is_not_taken_is_freed), cmocka_unit_test(a_failure_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
