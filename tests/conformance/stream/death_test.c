/* SPDX-License-Identifier: Apache-2.0
 * Deaths by kill -9: the victim is a child, the other end is here. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "world.h"

typedef struct child { pid_t pid; int to, from; } child;

/* Before anything is opened: the child must have no thread but this. */
static child child_start(world *w, void (*live)(world *w, int in, int out)) {
  int down[2], up[2];
  assert_int_equal(pipe(down), 0);
  assert_int_equal(pipe(up), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    live(w, down[0], up[1]);
    _exit(1);
  }
  close(down[0]);
  close(up[1]);
  return (child){.pid = pid, .to = down[1], .from = up[0]};
}

static void child_kill(child *of) {
  int status;
  kill(of->pid, SIGKILL);
  assert_int_equal(waitpid(of->pid, &status, 0), of->pid);
  assert_true(WIFSIGNALED(status));
  close(of->to);
  close(of->from);
}

static void sender_lives(world *w, int in, int out) {
  static char address[512];
  (void)out;
  if (read(in, address, sizeof address) <= 0) return;
  if (w->ops->sender_open(&w->options, hear, &w->ear, &w->sender, NULL) != GHEE_OK) return;
  if (w->ops->connect(w->sender, address, SELF, PEER, NULL) != GHEE_OK) return;
  for (uint32_t i = 0; i < 20; i++) (void)send_to(w->ops, w->sender, PEER, head_of(i), 100 * KIB);
  for (;;) pause();
}

static void test_sender_death(void **state) {
  world w;
  world_init(&w, state, 500 * KIB, 4 * MIB);
  child of = child_start(&w, sender_lives);
  open_receiver(&w);
  assert_int_equal(write(of.to, w.address, strlen(w.address) + 1), strlen(w.address) + 1);
  ghee_message held[5];
  for (uint32_t i = 0; i < 5; i++) held[i] = take_seq(&w, i);
  child_kill(&of);
  take_gone(&w, SELF);
  for (int i = 0; i < 5; i++) {
    check_content(&held[i]);
    w.ops->release(&held[i]);
  }
  ghee_stream_head head = head_of(1);
  assert_int_equal(w.ops->ack(w.receiver, SELF, &head, NULL), GHEE_CLOSED);
  open_sender(&w); /* the next of that name */
  send_one(&w, 1, 100);
  take_and_release(&w, 1);
  world_close(&w);
}

static void receiver_lives(world *w, int in, int out) {
  (void)in;
  ghee_message message;
  if (w->ops->receiver_open(&w->options, &w->receiver, &w->address, NULL) != GHEE_OK) return;
  if (write(out, w->address, strlen(w->address) + 1) < 0) return;
  while (w->ops->pop(w->receiver, -1, &message, NULL) == GHEE_OK)
    if (write(out, "m", 1) < 0) return; /* and holds it */
}

static void test_receiver_death(void **state) {
  static char address[512];
  char got;
  world w;
  world_init(&w, state, 100 * KIB, 500 * KIB);
  child of = child_start(&w, receiver_lives);
  assert_true(read(of.from, address, sizeof address) > 0);
  w.address = address;
  open_sender(&w);
  for (uint32_t i = 0; i < 4; i++) send_one(&w, i, 100 * KIB);
  assert_int_equal(read(of.from, &got, 1), 1);
  child_kill(&of);
  ghee_sender_event event = next_event(&w.ear);
  assert_int_equal(event.what, GHEE_SENDER_GONE);
  assert_int_equal(event.peer, PEER);
  assert_int_equal(send_to(w.ops, w.sender, PEER, head_of(9), 10), GHEE_CLOSED);
  whole_arena_is_free(&w, 400 * KIB);
  w.ops->sender_close(w.sender, false);
  if (*address == '/') unlink(address);
  assert_int_equal(rmdir(w.folder), 0);
}

static const stream_case cases[] = {TEST(sender_death), TEST(receiver_death)};

int main(void) { return run_over_each_backend(cases, sizeof cases / sizeof *cases); }
