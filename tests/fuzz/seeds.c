/* SPDX-License-Identifier: Apache-2.0
 * fuzz_seeds FOLDER: first inputs of the fuzz targets, made here from the same small tables as the tests': FOLDER/TARGET/NUMBER. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "batch/frame.h"
#include "batch/types_sample.h"
#include "format/orc_sample.h"
#include "format/packed_sample.h"
#include "manifest/manifest.h"
#include "plan/sample.h"
#include "runtime/job/protocol.h"

static const char *root;
static int written;

static void seed(const char *target, const void *data, size_t size) {
  char path[512];
  ghee_error err;
  snprintf(path, sizeof path, "%s/%s", root, target);
  ghee_status status = ghee_dir_make_all(path, 0777, &err);
  snprintf(path, sizeof path, "%s/%s/%d", root, target, written++);
  if (status == GHEE_OK) status = ghee_file_write_atomic(path, data, size, &err);
  if (status == GHEE_OK) return;
  fprintf(stderr, "fuzz_seeds: %s\n", err.message);
  exit((int)status);
}

static void seed_text(const char *target, const char *text) { seed(target, text, strlen(text)); }

static void documents(void) {
  static const char *const texts[] = {
      "name: job\ninput:\n  path: data\n  format: csv\n  columns: [a, b]\npreprocess:\n  run: m:f\n  workers: 4\npredict:\n  run: m:g\n  batch_size: 100\n"
      "output:\n  path: out\n  mode: overwrite\n  target_file_size: 256MiB\n",
      "{\"name\": \"j\", \"input\": {\"path\": [\"/a\", \"/b\"], \"shuffle\": {\"seed\": 1}, \"epochs\": 3}, \"train\": {\"run\": \"m:t\", \"args\": {\"x\": [1, 2.5, null]},"
      " \"timeout\": \"30s\", \"memory\": \"2Gi\", \"env\": {\"A\": \"b\"}}}",
      "input: {path: x.parquet}\npreprocess: {run: \"lib.so:f\", rows: same, as: arrow}\noutput: {path: y, format: jsonl}\non_reject: divert\ndead_letter: z\n",
      "a: |\n  block\nb: >\n  folded\nc: 'single'\nd: \"\\u00e9\\ud83d\\ude00\"\ne: [~, true, 1.5, {}]\n",
      "[1, \"\\ud83d\\ude00\", {\"k\": []}]",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    seed_text("document", texts[i]);
    seed_text("description", texts[i]);
  }
}

static void filters(void) {
  static const char *const texts[] = {
      "i >= 4 and t in ('de', 'it''s') and not (f is null)", "f = 1.5e3 or i <> -1 and `t` is not null", "\"d\" < '2024-02-29' or d not in ('1970-01-01')", "not not (i = 1)"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) seed_text("filter", texts[i]);
}

enum { IPC_MAGIC = 64 }; /* with what it is padded by */

static void tables(void) {
  static const char *const formats[] = {"csv", "jsonl", "ipc", "parquet"};
  for (int i = 0; i < SAMPLE_TYPES; i++) {
    ghee_schema *schema = sample_schema(&sample_all_types[i], 1);
    ghee_batch batch;
    ghee_buffer bytes = {0}, frame = {0};
    ghee_error err;
    sample_batch(schema, &sample_all_types[i], 1, 12, 1, &batch);
    if (ghee_schema_encode(schema, &bytes, &err) != GHEE_OK) exit(1);
    seed("schema", bytes.data, bytes.size);
    uint64_t size = 0;
    if (ghee_frame_size(&batch, &size, &err) != GHEE_OK) exit(1);
    void *memory = ghee_alloc_aligned(size);
    if (ghee_frame_write(&batch, memory, size, &err) != GHEE_OK) exit(1);
    ghee_buffer_put_bytes(&frame, bytes.data, bytes.size);
    ghee_buffer_put(&frame, memory, size);
    seed("frame", frame.data, frame.size);
    for (int f = 0; f < 4; f++) {
      ghee_buffer file = {0};
      if (sample_write(ghee_format_named(formats[f]), schema, &batch, 1, NULL, &file, &err) == GHEE_OK) seed(formats[f], file.data, file.size);
      if (file.size > IPC_MAGIC && !memcmp(file.data, "ARROW1", 6)) seed("ipc", file.data + IPC_MAGIC, file.size - IPC_MAGIC); /* a stream */
      ghee_buffer_fini(&file);
    }
    ghee_type type;
    if (!sample_all_types[i].dictionary && ghee_type_parse(sample_all_types[i].format, &type, &err) == GHEE_OK && orc_kind(&type) >= 0) {
      for (int second = 0; second < 2; second++) {
        ghee_buffer file = {0};
        orc_sample_write(schema, &batch, 7, second, &file);
        seed("orc", file.data, file.size);
        ghee_buffer_fini(&file);
      }
    }
    ghee_free_aligned(memory);
    ghee_buffer_fini(&bytes);
    ghee_buffer_fini(&frame);
    ghee_batch_release(&batch);
    ghee_schema_unref(schema);
  }
}

/* One message of each kind, its fields full. */
static void messages(void) {
  for (int what = 1; what < 100; what++) {
    ghee_say_message message;
    ghee_buffer bytes = {0};
    uint8_t zeros[256] = {(uint8_t)what}; /* every field 0: the longest prefix that decodes is the message */
    for (size_t size = 1; size < sizeof zeros; size++) {
      if (ghee_say_decode(zeros, size, &message, NULL) != GHEE_OK) continue;
      if (ghee_say_encode(&message, &bytes, NULL) == GHEE_OK) seed("protocol", bytes.data, bytes.size);
      ghee_say_fini(&message);
      break;
    }
    ghee_buffer_fini(&bytes);
  }
  ghee_attempt attempts[2] = {{1, 2, 3}, {4, 5, 6}};
  ghee_say_message staged = {.what = GHEE_SAY_STAGED, .staged = {.rows = 7, .files = 1}};
  ghee_say_message file = {.what = GHEE_SAY_FILE, .file = {.name = "part-0.parquet", .checksum = "blake2b:00", .rows = 7, .size_bytes = 8}};
  staged.staged.chunks.items = attempts;
  staged.staged.chunks.count = 2;
  ghee_buffer bytes = {0};
  if (ghee_say_encode(&staged, &bytes, NULL) == GHEE_OK) seed("protocol", bytes.data, bytes.size);
  ghee_buffer_clear(&bytes);
  if (ghee_say_encode(&file, &bytes, NULL) == GHEE_OK) seed("protocol", bytes.data, bytes.size);
  ghee_buffer_fini(&bytes);
}

static void manifests(void) {
  ghee_manifest manifest = {.job = ghee_strdup("job-1"), .format = ghee_strdup("parquet"), .created_ms = 1700000000000};
  ghee_buffer json = {0};
  for (int i = 0; i < 3; i++) {
    if (ghee_manifest_encode(&manifest, &json, NULL) == GHEE_OK) seed("manifest", json.data, json.size);
    ghee_buffer_clear(&json);
    char name[32];
    uint32_t commit;
    snprintf(name, sizeof name, "part-%d.parquet", i);
    if (ghee_manifest_begin(&manifest, "job-1", &commit, NULL) != GHEE_OK) exit(1);
    for (uint32_t chunk = 0; chunk < 9; chunk++)
      if (chunk % 3 != (uint32_t)i && ghee_manifest_hold(&manifest, commit, 9 * (uint32_t)i + chunk, NULL) != GHEE_OK) exit(1);
    if (ghee_manifest_add(&manifest, name, 10, 100, "blake2b:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", commit, NULL) != GHEE_OK) exit(1);
  }
  ghee_buffer_fini(&json);
  ghee_manifest_fini(&manifest);
}

static void plans(void) {
  for (uint32_t shuffle = 0; shuffle < 2; shuffle++) {
    ghee_buffer block = {0};
    sample_plan(shuffle, &block);
    seed("plan", block.data, block.size);
    ghee_buffer_fini(&block);
  }
}

static void s3_answers(void) {
  static const char *const texts[] = {
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>it &amp; they</Message><Key>a</Key></Error>",
      "<ListBucketResult xmlns=\"http://x/\"><NextContinuationToken>t</NextContinuationToken><Contents><Key>a&#x20;b</Key><Size>3</Size><Owner><ID/></Owner></Contents></ListBucketResult>",
      "<!-- c --><n:a x='>'><![CDATA[<&]]><b y=\"1\"/>&#228;</n:a>"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) seed_text("xml", texts[i]);
}

static void packed(void) {
  ghee_buffer gzip = {0}, zstd = {0};
  packed_gzip("a,b\n1,2\n", 8, &gzip);
  packed_gzip("3,4\n", 4, &gzip);
  packed_zstd("{\"a\": 1}\n{\"a\": 2}\n", 18, &zstd);
  seed("csv", gzip.data, gzip.size);
  seed("jsonl", zstd.data, zstd.size);
  ghee_buffer_fini(&gzip);
  ghee_buffer_fini(&zstd);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return GHEE_USAGE;
  }
  root = argv[1];
  documents();
  filters();
  tables();
  messages();
  manifests();
  s3_answers();
  plans();
  seed("control", "\0\0\1\5hello\3\0\0\0\2\3abc", 15);
  seed_text("csv", "a,b\n1,\"x\ny\"\n2,\n");
  packed();
  seed_text("jsonl", "{\"a\": 1, \"b\": [1, 2]}\n{\"a\": 2.5, \"b\": null}\n");
  return 0;
}
