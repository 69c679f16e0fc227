/* SPDX-License-Identifier: Apache-2.0
 * Batches from one process to another: GB/s and CPU-seconds per GB of shm, zmq without and with CURVE, beside a bare libzmq program over TCP
 * (PUSH and PULL, without and with CURVE) and memcpy. The producer copies each message into place (ours as frames are written, by
 * base/copy.h), the consumer adds up all of its bytes. Everything in turn, five times; medians.
 * Usage: bench_transfer [--json] [--quick] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "base/clock.h"
#include "base/copy.h"
#include "base/memory.h"
#include "transport/stream/stream.h"

enum { ROUNDS = 5, N_SIZES = 4, N_WAYS = 6, ROOM = 64 << 20, ADDRESS_MAX = 512, RING = 8 };

static const struct { const char *name; size_t bytes; uint64_t total; } sizes[N_SIZES] = {
    {"100 B", 100, 20 << 20}, {"64 KiB", 64 << 10, 512 << 20}, {"1 MiB", 1 << 20, 1 << 30}, {"16 MiB", 16 << 20, 1 << 30}};

typedef struct load { size_t bytes; uint64_t messages, warm; uint8_t *source; ghee_stream_key key; char folder[64]; } load;
typedef struct result { double gb_s, cpu_s_gb; } result;
typedef struct pipes { int to, from; } pipes;

/* How something is moved: the child produces `warm + messages`, the parent consumes them. */
typedef struct way {
  const char *name;
  const struct ghee_stream_ops *ops; /* NULL: bare, or memcpy */
  bool plain;
  int peer;                          /* what it is measured against */
  unsigned slower;                   /* so much less is moved */
} way;
enum { SHM, PLAIN, CURVE, BARE, BARE_CURVE, MEMCPY };
static const way ways[N_WAYS] = {{"shm", &ghee_stream_shm, false, MEMCPY, 1},         {"zmq", &ghee_stream_zmq, true, BARE, 2},
                                 {"zmq with CURVE", &ghee_stream_zmq, false, BARE_CURVE, 8}, {"bare libzmq", NULL, true, -1, 2},
                                 {"bare libzmq with CURVE", NULL, false, -1, 8},      {"memcpy", NULL, false, -1, 1}};

static volatile uint64_t sink;

static void fail(const char *what, const char *why) {
  fprintf(stderr, "bench_transfer: %s: %s\n", what, why);
  exit(1);
}

static void need(ghee_status status, const ghee_error *err, const char *what) {
  if (status != GHEE_OK) fail(what, err->message);
}

/* Touches every byte. */
static void add_up(const void *data, size_t size) {
  const uint8_t *at = data;
  uint64_t sums[8] = {0}, words[8];
  size_t i = 0;
  for (; i + sizeof words <= size; i += sizeof words) {
    memcpy(words, at + i, sizeof words);
    for (int k = 0; k < 8; k++) sums[k] += words[k];
  }
  for (; i < size; i++) sums[0] += at[i];
  for (int k = 0; k < 8; k++) sink += sums[k];
}

static void say(int fd, const char *text) {
  if (write(fd, text, strlen(text) + 1) < 0) fail("pipe", "closed");
}

static void hear(int fd, char *text, size_t size) {
  if (read(fd, text, size) <= 0) fail("pipe", "closed");
}

/* What was to warm up has been consumed: the clock starts, and the producer goes on. */
static uint64_t go(pipes with) {
  uint64_t now = ghee_clock_ns();
  say(with.to, "go");
  return now;
}

/* ---- our transports ---- */

static ghee_stream_options options_of(const way *how, const load *of) {
  return (ghee_stream_options){.key = of->key, .folder = of->folder, .host = "127.0.0.1", .window_bytes = ROOM, .arena_bytes = ROOM, .plain = how->plain};
}

static void ignore(void *user, const ghee_sender_event *event) {
  (void)user;
  (void)event;
}

static void produce(const way *how, const load *of, pipes with) {
  char address[ADDRESS_MAX];
  ghee_error err;
  ghee_sender *sender;
  ghee_stream_options options = options_of(how, of);
  hear(with.from, address, sizeof address);
  need(how->ops->sender_open(&options, ignore, NULL, &sender, &err), &err, how->name);
  need(how->ops->connect(sender, address, 1, 1, &err), &err, how->name);
  for (uint64_t i = 0; i < of->warm + of->messages; i++) {
    if (i == of->warm) hear(with.from, address, sizeof address);
    ghee_stream_head head = {.kind = 1, .seq = (uint32_t)i};
    ghee_slot slot;
    need(how->ops->reserve(sender, of->bytes, false, &slot, &err), &err, how->name);
    ghee_copy_out(slot.data, of->source, of->bytes);
    need(how->ops->send(sender, 1, &head, &slot, of->bytes, &err), &err, how->name);
  }
  how->ops->sender_close(sender, true);
}

static uint64_t consume(const way *how, const load *of, pipes with) {
  const char *address;
  ghee_error err;
  ghee_receiver *receiver;
  ghee_stream_options options = options_of(how, of);
  uint64_t start = 0;
  need(how->ops->receiver_open(&options, &receiver, &address, &err), &err, how->name);
  say(with.to, address);
  for (uint64_t i = 0; i < of->warm + of->messages; i++) {
    ghee_message message;
    need(how->ops->pop(receiver, -1, &message, &err), &err, how->name);
    if (message.what != GHEE_MESSAGE_DATA) fail(how->name, "the producer is gone");
    add_up(message.data, message.size_bytes);
    how->ops->release(&message);
    if (i + 1 == of->warm) start = go(with);
  }
  uint64_t ns = ghee_clock_ns() - start;
  how->ops->receiver_close(receiver);
  return ns;
}

/* ---- bare libzmq ---- */

static void *bare_socket(void *context, int type, const way *how, const load *of) {
  void *socket = zmq_socket(context, type);
  int mark = (int)(ROOM / of->bytes), server = 1;
  if (mark < 4) mark = 4;
  if (mark > 1000) mark = 1000;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
  zmq_setsockopt(socket, ZMQ_RCVHWM, &mark, sizeof mark);
  if (how->plain) return socket;
  if (type == ZMQ_PULL) {
    zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof server);
  } else {
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, of->key.public_key, GHEE_KEY_BYTES);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, of->key.public_key, GHEE_KEY_BYTES);
  }
  zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, of->key.secret_key, GHEE_KEY_BYTES);
  return socket;
}

static void produce_bare(const way *how, const load *of, pipes with) {
  char address[ADDRESS_MAX];
  hear(with.from, address, sizeof address);
  void *context = zmq_ctx_new(), *socket = bare_socket(context, ZMQ_PUSH, how, of);
  if (zmq_connect(socket, address) != 0) fail(how->name, zmq_strerror(errno));
  for (uint64_t i = 0; i < of->warm + of->messages; i++) {
    if (i == of->warm) hear(with.from, address, sizeof address);
    zmq_msg_t message;
    zmq_msg_init_size(&message, of->bytes);
    memcpy(zmq_msg_data(&message), of->source, of->bytes);
    if (zmq_msg_send(&message, socket, 0) < 0) fail(how->name, zmq_strerror(errno));
  }
  zmq_close(socket);
  zmq_ctx_term(context);
}

static uint64_t consume_bare(const way *how, const load *of, pipes with) {
  char address[ADDRESS_MAX];
  size_t size = sizeof address;
  uint64_t start = 0;
  void *context = zmq_ctx_new(), *socket = bare_socket(context, ZMQ_PULL, how, of);
  if (zmq_bind(socket, "tcp://127.0.0.1:*") != 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, address, &size) != 0) fail(how->name, zmq_strerror(errno));
  say(with.to, address);
  for (uint64_t i = 0; i < of->warm + of->messages; i++) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, 0) < 0) fail(how->name, zmq_strerror(errno));
    add_up(zmq_msg_data(&message), zmq_msg_size(&message));
    zmq_msg_close(&message);
    if (i + 1 == of->warm) start = go(with);
  }
  uint64_t ns = ghee_clock_ns() - start;
  zmq_close(socket);
  zmq_ctx_term(context);
  return ns;
}

/* ---- one run ---- */

static double cpu_seconds(const struct rusage *of) {
  return (double)(of->ru_utime.tv_sec + of->ru_stime.tv_sec) + (double)(of->ru_utime.tv_usec + of->ru_stime.tv_usec) / 1e6;
}

static double own_cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return cpu_seconds(&usage);
}

static pid_t start_producer(const way *how, const load *of, pipes *with) {
  int down[2], up[2];
  if (pipe(down) != 0 || pipe(up) != 0) fail("pipe", "cannot be made");
  pid_t pid = fork();
  if (pid < 0) fail("fork", "no process");
  if (pid > 0) {
    close(down[0]);
    close(up[1]);
    *with = (pipes){.to = down[1], .from = up[0]};
    return pid;
  }
  close(down[1]);
  close(up[0]);
  if (how->ops) produce(how, of, (pipes){.to = up[1], .from = down[0]});
  else produce_bare(how, of, (pipes){.to = up[1], .from = down[0]});
  _exit(0);
}

static result move(const way *how, const load *of) {
  pipes with;
  struct rusage usage;
  int status;
  double cpu = own_cpu_seconds();
  pid_t pid = start_producer(how, of, &with);
  uint64_t ns = how->ops ? consume(how, of, with) : consume_bare(how, of, with);
  if (wait4(pid, &status, 0, &usage) != pid || status != 0) fail(how->name, "the producer has failed");
  close(with.to);
  close(with.from);
  double gb = (double)of->bytes * (double)of->messages / 1e9, all = gb * (double)(of->warm + of->messages) / (double)of->messages;
  return (result){.gb_s = gb / ((double)ns / 1e9), .cpu_s_gb = (own_cpu_seconds() - cpu + cpu_seconds(&usage)) / all};
}

/* As the producer's copy alone: into a ring that is as warm. */
static result copy(const load *of) {
  uint8_t *ring = ghee_alloc_aligned(of->bytes * RING);
  if (!ring) fail("memcpy", "no memory");
  uint64_t start = 0;
  double cpu = 0;
  for (uint64_t i = 0; i < of->warm + of->messages; i++) {
    uint8_t *to = ring + i % RING * of->bytes;
    memcpy(to, of->source, of->bytes);
    sink += *to;
    if (i + 1 != of->warm) continue;
    start = ghee_clock_ns();
    cpu = own_cpu_seconds();
  }
  double gb = (double)of->bytes * (double)of->messages / 1e9, seconds = (double)(ghee_clock_ns() - start) / 1e9;
  ghee_free_aligned(ring);
  return (result){.gb_s = gb / seconds, .cpu_s_gb = (own_cpu_seconds() - cpu) / gb};
}

/* ---- figures ---- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int n) {
  qsort(values, (size_t)n, sizeof *values, by_value);
  return values[n / 2];
}

/* What must be reached; 0: nothing. */
static double aim_of(int of, size_t bytes, double peer) {
  if (bytes < (1 << 20)) return 0;
  return of == SHM ? 8 : of == PLAIN ? 0.9 * peer : 0;
}

static void print(const char *json_case, const char *unit, const char *peer, double value, double peer_value, double aim) {
  printf("{\"bench\": \"transfer\", \"case\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", ", json_case, value, unit);
  if (peer) printf("\"peer\": \"%s\", \"peer_value\": %.4g, \"ratio\": %.4g, ", peer, peer_value, value / peer_value);
  else printf("\"peer\": null, \"peer_value\": null, \"ratio\": null, ");
  if (aim > 0) printf("\"aim\": \">= %.4g\", \"holds\": %s}\n", aim, value >= aim ? "true" : "false");
  else printf("\"aim\": null, \"holds\": null}\n");
}

static void report(int size, int of, const result *found, bool json) {
  const way *how = &ways[of];
  const result *mine = &found[of], *peer = how->peer >= 0 ? &found[how->peer] : NULL;
  double aim = peer ? aim_of(of, sizes[size].bytes, peer->gb_s) : 0;
  if (json) {
    char name[64];
    snprintf(name, sizeof name, "%s %s", how->name, sizes[size].name);
    print(name, "GB/s", peer ? ways[how->peer].name : NULL, mine->gb_s, peer ? peer->gb_s : 0, aim);
    snprintf(name, sizeof name, "%s %s: CPU", how->name, sizes[size].name);
    print(name, "s/GB", peer ? ways[how->peer].name : NULL, mine->cpu_s_gb, peer ? peer->cpu_s_gb : 0, 0);
  } else {
    printf("%-7s  %-22s  %8.3f GB/s  %8.3f CPU s/GB", sizes[size].name, how->name, mine->gb_s, mine->cpu_s_gb);
    if (peer) printf("  %5.2f of %s", mine->gb_s / peer->gb_s, ways[how->peer].name);
    if (aim > 0) printf("  aim %.2f GB/s: %s", aim, mine->gb_s >= aim ? "holds" : "NO");
    printf("\n");
  }
}

static void measure(int size, load *of, bool quick, bool json) {
  static double speed[N_WAYS][ROUNDS], cpu[N_WAYS][ROUNDS];
  result found[N_WAYS];
  int rounds = quick ? 1 : ROUNDS;
  of->bytes = sizes[size].bytes;
  for (int round = 0; round < rounds; round++)
    for (int i = 0; i < N_WAYS; i++) {
      of->messages = sizes[size].total / ways[i].slower / (quick ? 16 : 1) / of->bytes + 1;
      of->warm = of->messages / 4 + 1;
      result one = i == MEMCPY ? copy(of) : move(&ways[i], of);
      speed[i][round] = one.gb_s;
      cpu[i][round] = one.cpu_s_gb;
    }
  for (int i = 0; i < N_WAYS; i++) found[i] = (result){.gb_s = median(speed[i], rounds), .cpu_s_gb = median(cpu[i], rounds)};
  for (int i = 0; i < N_WAYS; i++) report(size, i, found, json);
  fflush(stdout);
}

int main(int argc, char **argv) {
  bool json = false, quick = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0) json = true;
    else if (strcmp(argv[i], "--quick") == 0) quick = true;
    else return fprintf(stderr, "usage: bench_transfer [--json] [--quick]\n"), 2;
  }
  load of = {.folder = "/tmp/ghee-bench-XXXXXX"};
  size_t most = sizes[N_SIZES - 1].bytes;
  ghee_error err;
  if (!mkdtemp(of.folder)) fail(of.folder, "cannot be made");
  need(ghee_stream_key_new(&of.key, &err), &err, "key");
  if (!(of.source = ghee_alloc_aligned(most))) fail("source", "no memory");
  for (size_t i = 0; i < most; i++) of.source[i] = (uint8_t)(i * 2654435761u >> 13);
  for (int size = 0; size < N_SIZES; size++) measure(size, &of, quick, json);
  ghee_free_aligned(of.source);
  rmdir(of.folder);
  return 0;
}
