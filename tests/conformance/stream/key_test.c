/* SPDX-License-Identifier: Apache-2.0
 * Keys: a stranger, who has another than the job, does not get in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

static void test_another_key(void **state) {
  world w, stranger;
  world_init(&w, state, MIB, MIB);
  open_receiver(&w);
  stranger = w;
  ear_init(&stranger.ear);
  assert_int_equal(ghee_stream_key_new(&stranger.options.key, NULL), GHEE_OK);
  assert_int_equal(w.ops->sender_open(&stranger.options, hear, &stranger.ear, &stranger.sender, NULL), GHEE_OK);
  assert_int_equal(w.ops->connect(stranger.sender, w.address, 66, PEER, NULL), GHEE_OK);
  (void)send_to(w.ops, stranger.sender, PEER, head_of(1), 10);
  nothing_comes(&w);
  assert_int_equal(next_event(&stranger.ear).what, GHEE_SENDER_GONE);
  w.ops->sender_close(stranger.sender, false);
  nothing_comes(&w);
  open_sender(&w);
  send_one(&w, 1, 10);
  take_and_release(&w, 1);
  world_close(&w);
}

static const stream_case cases[] = {{"another_key", test_another_key, .keyed = true}};

int main(void) { return run_over_each_backend(cases, sizeof cases / sizeof *cases); }
