/* SPDX-License-Identifier: Apache-2.0
 * Memory that the system refuses: decoding a large batch is then an error, not the end of the process. */
#include "format/types_sample.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/shim.h"

enum { ROWS = 1 << 18, WIDTH = 192, MIB = 1 << 20 }; /* one batch of 48 MiB */

/* From now on only so much more can be had. */
static bool leave(size_t spare) {
  unsigned long long pages = 0;
  FILE *own = fopen("/proc/self/statm", "re");
  if (!own) return false;
  int got = fscanf(own, "%llu", &pages);
  fclose(own);
  rlim_t most = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + spare;
  return got == 1 && setrlimit(RLIMIT_AS, &(struct rlimit){most, most}) == 0;
}

static ghee_status read_first_part(const struct ghee_format_ops *ops, const ghee_buffer *bytes, size_t spare, ghee_error *err) {
  sample_file in;
  sample_parts parts = {.count = 0};
  ghee_rows *rows;
  ghee_batch batch;
  GHEE_TRY(sample_open(ops, bytes->data, bytes->size, &(ghee_read_options){.batch_rows = ROWS}, &in, err));
  GHEE_TRY(ops->parts(in.file, 0, sample_each, &parts, err));
  if (!leave(spare)) return GHEE_INTERNAL;
  GHEE_TRY(ops->read(in.file, &parts.items[0], 0, &rows, err));
  ghee_status status = ops->next(rows, &batch, err);
  if (status == GHEE_OK) ghee_batch_release(&batch);
  ops->end(rows);
  return status;
}

/* In a process of its own; how it ended. */
static int read_with(const struct ghee_format_ops *ops, const ghee_buffer *bytes, size_t spare) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    ghee_error err = {0};
    ghee_status status = read_first_part(ops, bytes, spare, &err);
    _exit(status == GHEE_NO_MEMORY && !strstr(err.message, "out of memory") ? GHEE_INTERNAL : (int)status);
  }
  int how;
  assert_int_equal(waitpid(child, &how, 0), child);
  return how;
}

static void check(const struct ghee_format_ops *ops, const char *codec, const ghee_buffer *bytes) {
  for (size_t spare = 0; spare <= 24; spare += 8) {
    int how = read_with(ops, bytes, spare * MIB);
    if (!WIFEXITED(how) || WEXITSTATUS(how) != GHEE_NO_MEMORY) fail_msg("%s, %s, %zu MiB left: ended with %#x", ops->name, codec, spare, (unsigned)how);
  }
  int how = read_with(ops, bytes, 512 * (size_t)MIB);
  if (!WIFEXITED(how) || WEXITSTATUS(how) != GHEE_OK) fail_msg("%s, %s, 512 MiB left: ended with %#x", ops->name, codec, (unsigned)how);
}

static void memory_that_cannot_be_had_is_an_error(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* their shadow memory is address space too */
#endif
  static const char *const codecs[] = {"zstd", "none"};
  const struct ghee_format_ops *const formats[] = {&ghee_parquet_ops, &ghee_ipc_ops};
  const sample_type type = {"id", "w:192", false, NULL, 0, NULL};
  ghee_schema *schema = sample_schema(&type, 1);
  ghee_batch batch;
  sample_batch(schema, &type, 1, ROWS, 1, &batch);
  assert_int_equal(ghee_batch_bytes(&batch), (uint64_t)ROWS * WIDTH);
  for (int i = 0; i < 4; i++) {
    ghee_buffer bytes = {0};
    SAMPLE_OK(sample_write(formats[i / 2], schema, &batch, 1, &(ghee_write_options){.codec = codecs[i % 2]}, &bytes, err));
    check(formats[i / 2], codecs[i % 2], &bytes);
    ghee_buffer_fini(&bytes);
  }
  ghee_batch_release(&batch);
  ghee_schema_unref(schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(memory_that_cannot_be_had_is_an_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
