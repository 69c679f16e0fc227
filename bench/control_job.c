/* SPDX-License-Identifier: Apache-2.0
 * How many chunks a second a real coordinator leases, accepts and records durably: its process over a real job folder, plan and ledger, with
 * this program as its client and, on connections of their own, as all its workers: 16 that read and 4 sinks, which pass on and write nothing
 * and say what workers of a predict job say. What the launcher starts as workers only waits. One chunk of the plan is left, so that the job
 * ends interrupted and unpublished. Usage: bench_control_job FOLDER [MOST]; the folder must be on a real disk; rounds of more than
 * MOST chunks are left out. Prints a line of JSON a round. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "launch/fork_server.h"
#include "launch/gate.h"
#include "plan/plan_file.h"
#include "runtime/client/client.h"
#include "runtime/job/protocol.h"
#include "transport/control/control.h"

enum { READERS = 16, SINKS = 4, WORKERS = READERS + SINKS, FILES = 64, PART_BYTES = 32 << 20, RETRY_MS = 10 };

typedef struct round_of { uint32_t chunks, on_their_way, chunks_a_file; } round_of; /* the files of each sink are full in the end */

/* One who speaks to the coordinator. Readers come first. */
typedef struct worker {
  ghee_control_client *control;
  uint64_t peers[SINKS];                /* readers: numbers of the sinks, 0 not introduced yet */
  uint64_t ticket;                      /* sinks */
  GHEE_ARRAY(ghee_attempt) file;        /* sinks: accepted, in the file that is being filled */
} worker;

typedef struct bench {
  round_of round;
  char *folder;
  ghee_stream_key key;
  worker workers[WORKERS];
  uint32_t wanted, acknowledged;
  /* the client's thread */
  pthread_t thread;
  _Atomic int stop;
  ghee_status outcome;
  ghee_error outcome_error;
} bench;

static void fail(const char *doing, const ghee_error *err) {
  fprintf(stderr, "bench_control_job: %s: %s\n", doing, err->message);
  exit((int)err->status);
}

#define MUST(call)                                      \
  do {                                                  \
    ghee_error *err = &(ghee_error){0};                 \
    if ((call) != GHEE_OK) fail(#call, err);            \
  } while (0)

/* ---- the job's folder ---- */

static ghee_job_spec *make_spec(const char *root) {
  char text[9000];
  snprintf(text, sizeof text,
           "{name: control, input: {uri: %s/in, format: parquet}, preprocess: {run: 'no:one', workers: %d}, predict: {run: 'no:one', workers: %d}, output: {uri: %s/out}}",
           root, READERS, SINKS, root);
  ghee_job_source source = {.text = text, .size_bytes = strlen(text), .name = "-"};
  ghee_job_spec *spec = NULL;
  MUST(ghee_client_spec(&source, &spec, err));
  return spec;
}

static void nothing_to_release(struct ArrowSchema *schema) { schema->release = NULL; }

static ghee_schema *make_schema(void) {
  static struct ArrowSchema column = {.format = "l", .name = "id", .release = nothing_to_release}, *columns[] = {&column};
  struct ArrowSchema rows = {.format = "+s", .name = "", .n_children = 1, .children = columns, .release = nothing_to_release}, copy;
  ghee_schema *schema = NULL;
  MUST(ghee_schema_copy_arrow(&rows, &copy, err));
  MUST(ghee_schema_new(&copy, &schema, err));
  return schema;
}

/* As if there were files of as many row groups, of the size of a chunk each. */
static void make_plan(const ghee_job_spec *spec, uint32_t chunks, const char *path) {
  ghee_object_list files = {0};
  ghee_plan_records parts = {0};
  bool ok = true;
  for (uint32_t i = 0; i < FILES; i++)
    ok = ok && ghee_array_push(&files, ((ghee_object_info){.uri = ghee_asprintf("%s/%05u.parquet", spec->input_uris[0], i), .version = ghee_strdup("1")}));
  for (uint32_t i = 0, a_file = (chunks + FILES - 1) / FILES; i < chunks && ok; i++)
    ok = ghee_array_push(&parts, ((ghee_plan_record){.offset = (uint64_t)(i % a_file) * PART_BYTES, .end_offset = (uint64_t)(i % a_file + 1) * PART_BYTES,
                                                     .size_bytes = PART_BYTES, .memory_bytes = PART_BYTES, .first_row = (uint64_t)(i % a_file) * 1000,
                                                     .rows = 1000, .file = i / a_file, .index = i % a_file}));
  if (!ok) abort();
  ghee_plan_draft draft = {.files = &files, .parts = &parts, .schema = make_schema(), .format = "parquet", .batch_bytes = 1 << 20};
  ghee_plan *plan = NULL;
  MUST(ghee_plan_assemble(spec, &draft, &plan, err));
  if (ghee_plan_totals_of(plan)->chunks != chunks) abort();
  MUST(ghee_plan_save(plan, path, err));
  ghee_plan_free(plan);
  ghee_schema_unref(draft.schema);
  ghee_array_fini(&parts);
  ghee_object_list_fini(&files);
}

static void fill_folder(bench *of, const ghee_job_spec *spec) {
  static char program[4096];
  char word[] = "worker", *python[] = {program, word, NULL};
  ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  if (n < 0) abort();
  ghee_launch_facts facts = {.python = python, .module_folder = of->folder};
  ghee_buffer json = {0};
  char *plan = ghee_job_folder_file(of->folder, "plan"), *description = ghee_job_folder_file(of->folder, "job.json");
  MUST(ghee_stream_key_new(&of->key, err));
  MUST(ghee_job_folder_write_key(of->folder, &of->key, err));
  MUST(ghee_job_folder_write_id(of->folder, "control", err));
  MUST(ghee_process_self(&facts.client, err));
  MUST(ghee_launch_facts_write(of->folder, &facts, err));
  make_plan(spec, of->round.chunks + 1, plan);
  MUST(ghee_job_spec_encode(spec, &json, err));
  MUST(ghee_file_write_atomic(description, json.data, json.size, err));
  ghee_buffer_fini(&json);
  ghee_free(plan);
  ghee_free(description);
}

/* ---- the client ---- */

static int interrupted(void *user) { return ((bench *)user)->stop; }
static void print_line(void *user, const char *line) {
  (void)user;
  fprintf(stderr, "%s\n", line);
}

static void *drive(void *user) {
  bench *of = user;
  ghee_job_hooks hooks = {.interrupted = interrupted, .line = print_line, .user = of};
  ghee_job_progress last;
  of->outcome = ghee_client_drive(of->folder, false, ghee_clock_ns(), &hooks, &last, &of->outcome_error);
  if (!of->stop) fail("the coordinator", &of->outcome_error); /* the workers would wait for ever */
  return NULL;
}

/* ---- the workers ---- */

static void say(worker *from, const ghee_say_message *message) {
  ghee_buffer bytes = {0};
  MUST(ghee_say_encode(message, &bytes, err));
  MUST(ghee_control_client_send(from->control, bytes.data, bytes.size, err));
  ghee_buffer_fini(&bytes);
}

/* One more lease, for each reader in turn. */
static void want(bench *of) {
  if (of->wanted < of->round.chunks) say(&of->workers[of->wanted++ % READERS], &(ghee_say_message){.what = GHEE_SAY_WANT, .want = 1});
}

static void connect_all(bench *of) {
  char *path = ghee_job_folder_file(of->folder, "control.sock");
  for (uint32_t i = 0; i < WORKERS; i++) {
    char address[32];
    bool sink = i >= READERS;
    while (ghee_control_client_open(path, of->key.secret_key, &of->workers[i].control, NULL) != GHEE_OK) (void)poll(NULL, 0, RETRY_MS);
    snprintf(address, sizeof address, "nowhere-%u", i);
    ghee_say_message hello = {.what = GHEE_SAY_HELLO, .hello = {.stage = sink, .worker = sink ? i - READERS : i, .pid = getpid(), .address = address}};
    say(&of->workers[i], &hello);
    say(&of->workers[i], &(ghee_say_message){.what = GHEE_SAY_READY});
  }
  ghee_free(path);
}

static uint32_t sink_of(const ghee_attempt *attempt) { return attempt->chunk % SINKS; }

/* A reader and the way behind it, in one: read, pass on, whole at the sink. */
static void on_lease(bench *of, worker *reader, const ghee_attempt *attempt) {
  uint32_t to = sink_of(attempt);
  say(reader, &(ghee_say_message){.what = GHEE_SAY_PASSED, .passed = {.attempt = *attempt, .to = to, .number = reader->peers[to]}});
  say(&of->workers[READERS + to], &(ghee_say_message){.what = GHEE_SAY_COMPLETE, .complete = {.attempt = *attempt, .rows = 1000}});
}

static void stage(worker *sink, uint32_t index) {
  char name[48], checksum[] = "blake2b:0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8";
  uint64_t rows = 1000 * sink->file.count;
  snprintf(name, sizeof name, "part-%03u-%08x-%04u.parquet", index, 0x5eed0000 + index, (unsigned)sink->ticket);
  sink->ticket++;
  say(sink, &(ghee_say_message){.what = GHEE_SAY_FILE, .file = {.ticket = sink->ticket, .name = name, .checksum = checksum, .rows = rows, .size_bytes = sink->file.count << 20}});
  ghee_say_message message = {.what = GHEE_SAY_STAGED, .staged = {.ticket = sink->ticket, .rows = rows, .files = 1}};
  message.staged.chunks.items = sink->file.items;
  message.staged.chunks.count = sink->file.count;
  say(sink, &message);
  sink->file.count = 0;
}

static void on_accept(bench *of, worker *sink, const ghee_attempt *attempt) {
  if (!ghee_array_push(&sink->file, *attempt)) abort();
  if (sink->file.count == of->round.chunks_a_file) stage(sink, sink_of(attempt));
}

/* What is durable makes room for as many new ones. */
static void on_committed(bench *of) {
  of->acknowledged += of->round.chunks_a_file;
  for (uint32_t i = 0; i < of->round.chunks_a_file; i++) want(of);
}

static void hear(bench *of, worker *who, const ghee_say_message *message) {
  switch (message->what) {
    case GHEE_SAY_PEER: who->peers[message->peer.worker] = message->peer.number; break;
    case GHEE_SAY_LEASE: on_lease(of, who, &message->lease.attempt); break;
    case GHEE_SAY_ACCEPT: on_accept(of, who, &message->attempt); break;
    case GHEE_SAY_COMMITTED: on_committed(of); break;
    case GHEE_SAY_REFUSE: case GHEE_SAY_REVOKE: fprintf(stderr, "bench_control_job: chunk %u was refused\n", message->attempt.chunk); exit(1);
    default: break;
  }
}

/* Everything that has come to one worker. */
static void receive(bench *of, worker *who) {
  const void *data;
  size_t size;
  ghee_error gone;
  ghee_status status;
  while ((status = ghee_control_client_receive(who->control, &data, &size, &gone)) == GHEE_OK) {
    ghee_say_message message;
    MUST(ghee_say_decode(data, size, &message, err));
    hear(of, who, &message);
    ghee_say_fini(&message);
  }
  if (status != GHEE_AGAIN) fail("listening to the coordinator", &gone);
}

static bool introduced(const bench *of) {
  for (uint32_t i = 0; i < READERS * SINKS; i++)
    if (!of->workers[i / SINKS].peers[i % SINKS]) return false;
  return true;
}

static void listen_once(bench *of) {
  struct pollfd fds[WORKERS];
  for (uint32_t i = 0; i < WORKERS; i++) fds[i] = (struct pollfd){.fd = ghee_control_client_fd(of->workers[i].control), .events = POLLIN};
  if (poll(fds, WORKERS, -1) < 0 && errno != EINTR) abort();
  for (uint32_t i = 0; i < WORKERS; i++)
    if (fds[i].revents) receive(of, &of->workers[i]);
}

/* ---- measuring ---- */

static long coordinator_pid(const bench *of) {
  struct ucred who;
  socklen_t size = sizeof who;
  if (getsockopt(ghee_control_client_fd(of->workers[0].control), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) abort();
  return who.pid;
}

/* A number behind a word in a file of /proc. */
static double number_in(long pid, const char *file, const char *word) {
  char path[64], line[1024];
  double found = -1;
  snprintf(path, sizeof path, "/proc/%ld/%s", pid, file);
  FILE *from = fopen(path, "re");
  while (from && found < 0 && fgets(line, sizeof line, from))
    if (strncmp(line, word, strlen(word)) == 0) found = atof(line + strlen(word));
  if (from) fclose(from);
  return found;
}

static double cpu_seconds(long pid) {
  char path[64];
  unsigned long user = 0, system = 0;
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  FILE *from = fopen(path, "re");
  if (!from || fscanf(from, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) abort();
  fclose(from);
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void measure(bench *of) {
  const round_of *round = &of->round;
  while (!introduced(of)) listen_once(of);
  long pid = coordinator_pid(of);
  double cpu = cpu_seconds(pid), written = number_in(pid, "io", "write_bytes:");
  uint64_t start = ghee_clock_ns();
  for (uint32_t i = 0; i < round->on_their_way; i++) want(of);
  while (of->acknowledged < round->chunks) listen_once(of);
  double seconds = (double)(ghee_clock_ns() - start) / 1e9;
  printf("{\"chunks\": %u, \"on_their_way\": %u, \"chunks_a_file\": %u, \"rate\": %.0f, \"peak_MiB\": %.1f, \"cpu_us\": %.1f, \"written_bytes\": %.0f}\n", round->chunks,
         round->on_their_way, round->chunks_a_file, of->acknowledged / seconds, number_in(pid, "status", "VmHWM:") / 1024,
         (cpu_seconds(pid) - cpu) * 1e6 / of->acknowledged, (number_in(pid, "io", "write_bytes:") - written) / of->acknowledged);
  fflush(stdout);
}

static void run(const char *root, const round_of *round) {
  bench of = {.round = *round};
  ghee_job_folder folder;
  ghee_job_spec *spec = make_spec(root);
  MUST(ghee_job_folder_open("control", true, &folder, err));
  of.folder = folder.path;
  fill_folder(&of, spec);
  if (pthread_create(&of.thread, NULL, drive, &of) != 0) abort();
  connect_all(&of);
  measure(&of);
  of.stop = 1;
  pthread_join(of.thread, NULL);
  if (of.outcome != GHEE_CANCELED) fail("the end of the job", &of.outcome_error);
  for (uint32_t i = 0; i < WORKERS; i++) {
    ghee_control_client_close(of.workers[i].control);
    ghee_array_fini(&of.workers[i].file);
  }
  MUST(ghee_dir_remove_all(of.folder, err));
  ghee_job_folder_fini(&folder);
  ghee_job_spec_free(spec);
}

/* What the launcher starts: `worker -m ghee._worker --job FOLDER --stage NAME --fork-server`, and what that forks. Ends with the client. */
static int wait_as_worker(char **argv) {
  ghee_launch_pass_gate();
  ghee_launch_facts facts;
  ghee_stream_key key;
  uint32_t index;
  bool child = false;
  MUST(ghee_launch_facts_read(argv[5], &facts, err));
  MUST(ghee_job_folder_read_key(argv[5], &key, err));
  MUST(ghee_fork_server_run(argv[5], key.secret_key, argv[7], &facts.client, argv[5], &index, &child, err));
  struct pollfd client = {.events = POLLIN};
  if (child && ghee_process_open(&facts.client, &client.fd, NULL) == GHEE_OK) (void)poll(&client, 1, -1);
  return 0;
}

int main(int argc, char **argv) {
  static const round_of rounds[] = {{2000, 256, 1}, {64000, 2048, 1}, {64000, 2048, 8}, {1000000, 2048, 1}, {1000000, 2048, 8}};
  char root[4100];
  if (argc > 8 && strcmp(argv[1], "worker") == 0) return wait_as_worker(argv);
  if (argc < 2) {
    fprintf(stderr, "usage: bench_control_job FOLDER [MOST]\n");
    return 2;
  }
  snprintf(root, sizeof root, "%s/bench-XXXXXX", argv[1]);
  if (!mkdtemp(root) || setenv("XDG_STATE_HOME", root, 1) != 0) {
    perror(root);
    return 1;
  }
  for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++)
    if (argc <= 2 || rounds[i].chunks <= strtoul(argv[2], NULL, 10)) run(root, &rounds[i]);
  MUST(ghee_dir_remove_all(root, err));
  return 0;
}
