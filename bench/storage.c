/* SPDX-License-Identifier: Apache-2.0
 * One storage of ours at work, alone:
 *   bench_storage read URI STREAMS         each stream reads the whole object, 32 MiB a call
 *   bench_storage write URI STREAMS BYTES  each stream writes an object of so many bytes, URI-0, URI-1, …
 *   bench_storage list URI                 counts the objects
 *   bench_storage columns URI NAME…        reads these columns of a Parquet file
 * Prints one line of JSON: bytes (objects for list), seconds, cpu_seconds, peak_MiB, and for s3: what was received. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/memory.h"
#include "format/format.h"
#include "storage/object_store.h"
#include "storage/s3.h"

enum { CALL_BYTES = 32 << 20, PIECE_BYTES = 1 << 20, MOST_STREAMS = 64 };

typedef struct stream {
  pthread_t thread;
  ghee_object_store *store;
  char *uri;
  uint64_t bytes;
} stream;

static void must(ghee_status status, const ghee_error *err) {
  if (status == GHEE_OK) return;
  fprintf(stderr, "bench_storage: %s\n", err->message);
  exit((int)status);
}

static void *read_stream(void *user) {
  stream *of = user;
  ghee_error err;
  ghee_source *source;
  char *into = ghee_alloc(CALL_BYTES);
  must(of->store->ops->read(of->store, of->uri, NULL, &source, &err), &err);
  for (uint64_t at = 0; at < source->size_bytes;) {
    size_t n = source->size_bytes - at < CALL_BYTES ? (size_t)(source->size_bytes - at) : CALL_BYTES;
    must(source->ops->read(source, at, n, into, &err), &err);
    at += n;
  }
  of->bytes = source->size_bytes;
  source->ops->close(source);
  ghee_free(into);
  return NULL;
}

static void *write_stream(void *user) {
  stream *of = user;
  ghee_error err;
  ghee_sink *sink;
  char *from = ghee_alloc_zero(1, PIECE_BYTES);
  must(of->store->ops->write(of->store, of->uri, &sink, &err), &err);
  for (uint64_t at = 0; at < of->bytes; at += PIECE_BYTES) must(sink->ops->write(sink, from, PIECE_BYTES, &err), &err);
  must(sink->ops->finish(sink, &err), &err);
  sink->ops->close(sink);
  ghee_free(from);
  return NULL;
}

static uint64_t run_streams(ghee_object_store *store, const char *uri, int n, void *(*run)(void *), uint64_t bytes) {
  stream streams[MOST_STREAMS];
  uint64_t all = 0;
  for (int i = 0; i < n; i++) {
    streams[i] = (stream){.store = store, .bytes = bytes, .uri = bytes ? ghee_asprintf("%s-%d", uri, i) : ghee_strdup(uri)};
    pthread_create(&streams[i].thread, NULL, run, &streams[i]);
  }
  for (int i = 0; i < n; i++) {
    pthread_join(streams[i].thread, NULL);
    all += streams[i].bytes;
    ghee_free(streams[i].uri);
  }
  return all;
}

static ghee_status count(void *user, const ghee_object_info *info, ghee_error *err) {
  (void)info;
  (void)err;
  ++*(uint64_t *)user;
  return GHEE_OK;
}

typedef struct reading { const struct ghee_format_ops *format; ghee_file *file; uint64_t rows; } reading;

static ghee_status read_part(void *user, const ghee_part *part, ghee_error *err) {
  reading *of = user;
  ghee_rows *rows;
  ghee_batch batch;
  GHEE_TRY(of->format->read(of->file, part, 0, &rows, err));
  ghee_status status;
  while ((status = of->format->next(rows, &batch, err)) == GHEE_OK) {
    of->rows += (uint64_t)ghee_batch_rows(&batch);
    ghee_batch_release(&batch);
  }
  of->format->end(rows);
  return status == GHEE_CLOSED ? GHEE_OK : status;
}

static uint64_t read_columns(ghee_object_store *store, const char *uri, const char *const *columns, size_t n) {
  ghee_error err;
  ghee_source *source;
  reading of = {.format = ghee_format_named("parquet")};
  ghee_read_options options = {.columns = columns, .n_columns = n};
  must(store->ops->read(store, uri, NULL, &source, &err), &err);
  must(of.format->open(source, &options, &of.file, &err), &err);
  must(of.format->parts(of.file, 0, read_part, &of, &err), &err);
  of.format->close(of.file);
  source->ops->close(source);
  return of.rows;
}

/* Of this program, without what the process that started it had. */
static double peak_mib(void) {
  char line[256];
  unsigned long kib = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "VmHWM: %lu", &kib) == 1) break;
  if (status) fclose(status);
  return (double)kib / 1024;
}

static double cpu_seconds(const struct rusage *of) {
  return (double)(of->ru_utime.tv_sec + of->ru_stime.tv_sec) + (double)(of->ru_utime.tv_usec + of->ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
  const char *what = argc > 2 ? argv[1] : "";
  uint64_t n = 0;
  ghee_error err;
  ghee_object_store *store;
  ghee_object_store_register(&ghee_object_store_file);
  ghee_object_store_register(&ghee_object_store_s3);
  ghee_object_store_register(&ghee_object_store_hdfs);
  if (argc > 2) must(ghee_object_store_open(argv[2], &store, &err), &err);
  uint64_t start = ghee_clock_ns();
  if (strcmp(what, "read") == 0 && argc == 4) n = run_streams(store, argv[2], atoi(argv[3]), read_stream, 0);
  else if (strcmp(what, "write") == 0 && argc == 5) n = run_streams(store, argv[2], atoi(argv[3]), write_stream, strtoull(argv[4], NULL, 10));
  else if (strcmp(what, "list") == 0 && argc == 3) must(store->ops->list(store, argv[2], count, &n, &err), &err);
  else if (strcmp(what, "columns") == 0 && argc > 3) n = read_columns(store, argv[2], (const char *const *)argv + 3, (size_t)argc - 3);
  else return fprintf(stderr, "usage: bench_storage read URI STREAMS | write URI STREAMS BYTES | list URI | columns URI NAME…\n"), 2;
  double seconds = (double)(ghee_clock_ns() - start) / 1e9;
  struct rusage used;
  ghee_http_counts counts = {0};
  getrusage(RUSAGE_SELF, &used);
  if (strcmp(store->ops->scheme, "s3") == 0) ghee_http_count(((ghee_s3_store *)store)->http, &counts);
  printf("{\"n\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"peak_MiB\": %.1f, \"requests\": %llu, \"received\": %llu}\n", (unsigned long long)n, seconds,
         cpu_seconds(&used), peak_mib(), (unsigned long long)counts.requests, (unsigned long long)counts.received_bytes);
  ghee_object_store_close(store);
  return 0;
}
