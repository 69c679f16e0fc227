/* SPDX-License-Identifier: Apache-2.0
 * Whole jobs from outside. Waiting here is for files and processes to come or go; every wait ends by the test's time limit. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "batch/batch.h"
#include "format/format.h"
#include "ghee/batch.h"
#include "storage/file.h"

enum { GROUP = 500, PAUSE_MS = 5, LEAVE_MS = 2000 };

static char build_folder[4096], root[64];
static ghee_buffer out_text, err_text;

#define OK(expr)                                                              \
  do {                                                                        \
    ghee_error ok_ = {0};                                                     \
    ghee_error *err = &ok_;                                                   \
    if ((expr) != GHEE_OK) fail_msg("%s: %s", #expr, err->message);           \
  } while (0)

void harness_init(const char *build) {
  if (!realpath(build, build_folder)) abort();
  setenv("GHEE_PROGRAMS", build_folder, 1);
  ghee_object_store_register(&ghee_object_store_file);
}

/* Sanitizers report to files of the test: what a worker says must not be lost with its log. */
static void report_to(const char *variable) {
  const char *was = getenv(variable);
  static char kept[3][4096];
  int which = variable[0] == 'A' ? 0 : variable[0] == 'T' ? 1 : 2;
  if (!kept[which][0]) snprintf(kept[which], sizeof kept[which], "%s ", was ? was : "");
  char *value = ghee_asprintf("%slog_path=%s/sanitizer", kept[which], root);
  setenv(variable, value, 1);
  ghee_free(value);
}

int harness_setup(void **state) {
  (void)state;
  strcpy(root, "/tmp/ghee-native-XXXXXX");
  if (!mkdtemp(root)) return -1;
  static const char *const folders[] = {"state", "tmp", "in"};
  for (int i = 0; i < 3; i++)
    if (mkdir(at(folders[i]), 0700) != 0) return -1;
  setenv("XDG_STATE_HOME", at("state"), 1);
  setenv("TMPDIR", at("tmp"), 1);
  setenv("CRASHED", at("crashed"), 1);
  setenv("GATE", at("gate"), 1);
  report_to("ASAN_OPTIONS");
  report_to("TSAN_OPTIONS");
  report_to("UBSAN_OPTIONS");
  return 0;
}

static bool holds(const char *folder, const char *prefix, char *name, size_t size) {
  DIR *dir = opendir(folder);
  bool found = false;
  for (struct dirent *entry; dir && !found && (entry = readdir(dir));)
    if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
      snprintf(name, size, "%s", entry->d_name);
      found = true;
    }
  if (dir) closedir(dir);
  return found;
}

int harness_teardown(void **state) {
  (void)state;
  char name[256];
  pid_t pid;
  for (int tries = 0; tries < LEAVE_MS / PAUSE_MS && processes(NULL, NULL) > 0; tries++) poll(NULL, 0, PAUSE_MS); /* on their way out */
  if (processes(NULL, &pid) > 0) {
    print_error("process %d is left\n", (int)pid);
    while (processes(NULL, &pid) > 0) kill(pid, SIGKILL);
    return -1;
  }
  if (holds(at("tmp"), "", name, sizeof name)) {
    print_error("temporary file %s is left\n", name);
    return -1;
  }
  if (holds(root, "sanitizer", name, sizeof name)) {
    ghee_buffer report = {0};
    (void)ghee_file_read_all(at(name), 1 << 20, &report, NULL);
    print_error("%s\n", ghee_buffer_text(&report));
    ghee_buffer_fini(&report);
    return -1;
  }
  ghee_buffer_fini(&out_text);
  ghee_buffer_fini(&err_text);
  return ghee_dir_remove_all(root, NULL) == GHEE_OK ? 0 : -1;
}

const char *at(const char *relative) {
  static char paths[16][1024];
  static int next;
  char *path = paths[next++ % 16];
  snprintf(path, sizeof paths[0], "%s/%s", root, relative);
  return path;
}

const char *udf(void) {
  static char path[4200];
  snprintf(path, sizeof path, "%s/tests/integration/libudf.so", build_folder);
  return path;
}

void write_file(const char *relative, const char *text) { OK(ghee_file_write_atomic(at(relative), text, strlen(text), err)); }

/* ---- inputs ---- */

static void free_memory(void *memory) { free(memory); }

static void batch_of_ids(int64_t first, int64_t n, ghee_batch *out) {
  int64_t *id = malloc((size_t)n * 8);
  double *x = malloc((size_t)n * 8);
  for (int64_t i = 0; i < n; i++) {
    id[i] = first + i;
    x[i] = (double)(first + i) / 2;
  }
  ghee_builder *builder;
  struct ArrowSchema arrow;
  struct ArrowArray array;
  ghee_schema *schema;
  OK(ghee_builder_new(&builder, err));
  OK(ghee_builder_add_fixed(builder, "id", "l", n, id, NULL, 0, NULL, 0, free_memory, id, err));
  OK(ghee_builder_add_fixed(builder, "x", "g", n, x, NULL, 0, NULL, 0, free_memory, x, err));
  OK(ghee_builder_finish(builder, &arrow, &array, err));
  ghee_builder_free(builder);
  OK(ghee_schema_new(&arrow, &schema, err));
  OK(ghee_batch_new(schema, &array, false, out, err));
  ghee_schema_unref(schema);
}

static void write_ids(const char *path, const struct ghee_format_ops *format, int64_t first, int64_t end) {
  ghee_buffer bytes = {0};
  ghee_sink *sink;
  ghee_writer *writer = NULL;
  ghee_write_options options = {.row_group_rows = GROUP};
  OK(ghee_sink_to_buffer(&bytes, path, &sink, err));
  for (int64_t id = first; id < end || !writer; id += GROUP) {
    ghee_batch batch;
    batch_of_ids(id, end - id < GROUP ? end - id : GROUP, &batch);
    if (!writer) OK(format->create(sink, batch.schema, &options, &writer, err));
    OK(format->write(writer, &batch, err));
    ghee_batch_release(&batch);
  }
  OK(format->finish(writer, err));
  format->abandon(writer);
  OK(sink->ops->finish(sink, err));
  sink->ops->close(sink);
  OK(ghee_file_write_atomic(path, bytes.data, bytes.size, err));
  ghee_buffer_fini(&bytes);
}

void make_input(const char *name, const char *format, int64_t n, int files) {
  const struct ghee_format_ops *ops = ghee_format_named(format);
  assert_non_null(ops);
  for (int k = 0; k < files; k++) {
    char relative[128];
    snprintf(relative, sizeof relative, "in/%s-%d%s", name, k, ops->suffixes[0]);
    write_ids(at(relative), ops, k * n / files, (k + 1) * n / files);
  }
}

/* ---- outputs ---- */

static int by_id(const void *a, const void *b) {
  const struct row *one = a, *two = b;
  if (one->id != two->id) return one->id < two->id ? -1 : 1;
  return one->x < two->x ? -1 : one->x > two->x;
}

static double number(const ghee_batch *batch, const char *name, int64_t row) {
  const struct ArrowSchema *schema = ghee_schema_arrow(batch->schema);
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (strcmp(schema->children[i]->name, name) != 0) continue;
    const struct ArrowArray *column = batch->array.children[i];
    int64_t index = column->offset + batch->array.offset + row;
    return *schema->children[i]->format == 'l' ? (double)((const int64_t *)column->buffers[1])[index] : ((const double *)column->buffers[1])[index];
  }
  fail_msg("the output has no column %s", name);
  return 0;
}

typedef struct reading { const struct ghee_format_ops *format; ghee_file *file; rows *to; } reading;

static ghee_status read_part(void *user, const ghee_part *part, ghee_error *err) {
  reading *of = user;
  ghee_rows *part_rows;
  GHEE_TRY(of->format->read(of->file, part, 0, &part_rows, err));
  ghee_batch batch = {0};
  ghee_status status;
  while ((status = of->format->next(part_rows, &batch, err)) == GHEE_OK) {
    int64_t n = ghee_batch_rows(&batch);
    of->to->items = realloc(of->to->items, (size_t)(of->to->n + n) * sizeof *of->to->items);
    for (int64_t i = 0; i < n; i++) of->to->items[of->to->n++] = (struct row){(int64_t)number(&batch, "id", i), number(&batch, "x", i)};
    ghee_batch_release(&batch);
  }
  of->format->end(part_rows);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

rows read_output(const char *name) {
  rows all = {0};
  DIR *dir = opendir(at(name));
  if (!dir) fail_msg("there is no output %s", name);
  for (struct dirent *entry; (entry = readdir(dir));) {
    const struct ghee_format_ops *format = entry->d_name[0] == '_' ? NULL : ghee_format_of_path(entry->d_name);
    if (!format) continue;
    char relative[512];
    ghee_buffer bytes = {0};
    ghee_source *source;
    ghee_read_options options = {0};
    reading of = {.format = format, .to = &all};
    snprintf(relative, sizeof relative, "%s/%s", name, entry->d_name);
    OK(ghee_file_read_all(at(relative), 1 << 30, &bytes, err));
    OK(ghee_source_of_memory(bytes.data, bytes.size, relative, &source, err));
    OK(format->open(source, &options, &of.file, err));
    OK(format->parts(of.file, 1 << 20, read_part, &of, err));
    format->close(of.file);
    source->ops->close(source);
    ghee_buffer_fini(&bytes);
  }
  closedir(dir);
  if (all.n) qsort(all.items, (size_t)all.n, sizeof *all.items, by_id);
  return all;
}

void assert_rows(const char *name, int64_t n, int (*next)(int64_t id, double x, struct row out[2])) {
  struct row *want = malloc((size_t)(2 * n + 2) * sizeof *want);
  int64_t count = 0;
  for (int64_t id = 0; id < n; id++) count += next(id, (double)id / 2, want + count);
  qsort(want, (size_t)count, sizeof *want, by_id);
  rows got = read_output(name);
  for (int64_t i = 0; i < got.n && i < count; i++)
    if (got.items[i].id != want[i].id || got.items[i].x != want[i].x)
      fail_msg("row %lld is (%lld, %g), not (%lld, %g)", (long long)i, (long long)got.items[i].id, got.items[i].x, (long long)want[i].id, want[i].x);
  assert_int_equal(got.n, count);
  free(got.items);
  free(want);
}

/* ---- programs ---- */

static const char *at_build(const char *program) {
  static char path[4200];
  snprintf(path, sizeof path, "%s/%s", build_folder, program);
  return path;
}

static pid_t begin(const char *first, va_list more) {
  const char *argv[32] = {at_build("ghee"), first};
  int n = 2;
  while (n < 31 && (argv[n] = va_arg(more, const char *))) n++;
  argv[n] = NULL;
  pid_t pid = fork();
  if (pid != 0) return pid;
  int out = open(at("out.txt"), O_WRONLY | O_CREAT | O_TRUNC, 0600), errors = open(at("err.txt"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (chdir(root) != 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0) _exit(99);
  execv(argv[0], (char *const *)argv);
  _exit(99);
}

pid_t ghee_begin(const char *first, ...) {
  va_list more;
  va_start(more, first);
  pid_t pid = begin(first, more);
  va_end(more);
  return pid;
}

int ghee_end(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  ghee_buffer_clear(&out_text);
  ghee_buffer_clear(&err_text);
  OK(ghee_file_read_all(at("out.txt"), 1 << 24, &out_text, err));
  OK(ghee_file_read_all(at("err.txt"), 1 << 24, &err_text, err));
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int ghee(const char *first, ...) {
  va_list more;
  va_start(more, first);
  pid_t pid = begin(first, more);
  va_end(more);
  return ghee_end(pid);
}

const char *printed(void) { return ghee_buffer_text(&out_text); }
const char *complained(void) { return ghee_buffer_text(&err_text); }

static void write_job_va(const char *format, va_list args) {
  ghee_buffer text = {0};
  ghee_buffer_vprintf(&text, format, args);
  for (size_t i = 0; i < text.size; i++)
    if (text.data[i] == '\'') text.data[i] = '"';
  write_file("job.json", ghee_buffer_text(&text));
  ghee_buffer_fini(&text);
}

void write_job(const char *format, ...) {
  va_list args;
  va_start(args, format);
  write_job_va(format, args);
  va_end(args);
}

int run_job(const char *format, ...) {
  va_list args;
  va_start(args, format);
  write_job_va(format, args);
  va_end(args);
  return ghee("run", "--quiet", "job.json", NULL);
}

void await_file(const char *relative) {
  while (access(at(relative), F_OK) != 0) poll(NULL, 0, PAUSE_MS);
}

static bool is_ours(const char *pid, const char *words) {
  char path[300], text[4096], state = 0;
  snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0) close(fd);
  if (n <= 0) return false;
  for (ssize_t i = 0; i < n; i++)
    if (!text[i]) text[i] = ' ';
  text[n] = 0;
  if (!strstr(text, root) || (words && !strstr(text, words))) return false;
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  FILE *file = fopen(path, "re");
  if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
  if (file) fclose(file);
  return state != 'Z';
}

int processes(const char *words, pid_t *first) {
  DIR *dir = opendir("/proc");
  int n = 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !is_ours(entry->d_name, words)) continue;
    if (n++ == 0 && first) *first = (pid_t)atoi(entry->d_name);
  }
  closedir(dir);
  return n;
}
