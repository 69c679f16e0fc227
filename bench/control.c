/* SPDX-License-Identifier: Apache-2.0
 * How many chunks a second the ledger records durably, one file and one chunk a request, by the number of requests on their way,
 * and the memory of the process after a million of them. Usage: bench_control FOLDER [MOST]; the folder must be on a real disk; rounds of
 * more than MOST chunks are left out. Prints a line of JSON a round. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/ledger.h"

enum { SINKS = 4 }; /* each names its files by a running number */

static void fail(const ghee_error *err) {
  fprintf(stderr, "bench_control: %s\n", err->message);
  exit((int)err->status);
}

static void queue(ghee_ledger *ledger, uint32_t chunk) {
  ghee_error err;
  char name[48];
  snprintf(name, sizeof name, "part-%03u-%08x-%04u.parquet", (unsigned)(chunk % SINKS), 0x5eed0000u + (unsigned)(chunk % SINKS), (unsigned)(chunk / SINKS));
  ghee_ledger_file file = {.name = name, .rows = 1000, .size_bytes = 1 << 20,
                           .checksum = "blake2b:0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"};
  if (ghee_ledger_commit(ledger, &file, 1, &chunk, 1, chunk, &err) != GHEE_OK) fail(&err);
}

static void take(ghee_ledger *ledger) {
  struct pollfd fd = {.fd = ghee_ledger_fd(ledger), .events = POLLIN};
  uint64_t ticket;
  ghee_error err;
  while (ghee_ledger_next(ledger, &ticket, &err) == GHEE_AGAIN) (void)poll(&fd, 1, -1);
  if (err.status != GHEE_OK) fail(&err);
}

static void remove_ledger(const char *path) {
  char name[4200];
  static const char *const ends[] = {"", "-wal", "-shm"};
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    (void)unlink(name);
  }
}

static double run(const char *path, uint32_t all, uint32_t on_their_way) {
  ghee_ledger *ledger;
  ghee_error err;
  remove_ledger(path);
  if (ghee_ledger_open(path, &ledger, &err) != GHEE_OK) fail(&err);
  uint64_t start = ghee_clock_ns();
  uint32_t queued = 0, taken = 0;
  while (taken < all) {
    while (queued < all && queued - taken < on_their_way) queue(ledger, queued++);
    take(ledger);
    taken++;
  }
  double seconds = (double)(ghee_clock_ns() - start) / 1e9;
  ghee_ledger_close(ledger);
  remove_ledger(path);
  return all / seconds;
}

int main(int argc, char **argv) {
  static const struct { uint32_t all, on_their_way; } rounds[] = {{200, 1}, {2000, 256}, {64000, 2048}, {1000000, 2048}};
  char path[4100];
  if (argc < 2) {
    fprintf(stderr, "usage: bench_control FOLDER [MOST]\n");
    return 2;
  }
  snprintf(path, sizeof path, "%s/bench-%d.ledger", argv[1], (int)getpid());
  for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
    if (argc > 2 && rounds[i].all > strtoul(argv[2], NULL, 10)) continue;
    double rate = run(path, rounds[i].all, rounds[i].on_their_way);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"chunks\": %u, \"on_their_way\": %u, \"rate\": %.0f, \"peak_MiB\": %.1f}\n", (unsigned)rounds[i].all, (unsigned)rounds[i].on_their_way, rate,
           (double)usage.ru_maxrss / 1024);
    fflush(stdout);
  }
  return 0;
}
