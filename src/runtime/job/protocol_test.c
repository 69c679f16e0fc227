/* SPDX-License-Identifier: Apache-2.0
 * Every message comes back as it was said; what is cut, longer or of an unknown kind is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "runtime/job/protocol.h"

static ghee_attempt attempts[] = {{.epoch = 1, .chunk = 2, .token = (uint64_t)3 << 32 | 4}, {.epoch = 5, .chunk = UINT32_MAX, .token = UINT64_MAX}};
#define PLACE {.epoch = 1, .window = 2, .seq = 3, .chunk = 4}

static const ghee_say_message messages[] = {
    {.what = GHEE_SAY_HELLO, .hello = {.stage = 1, .worker = 2, .pid = -3, .address = (char *)"s-1", .generation = 4, .accepted = {attempts, 2, 2}, .place = PLACE, .step = 5}},
    {.what = GHEE_SAY_HELLO, .hello = {.address = (char *)""}},
    {.what = GHEE_SAY_READY}, {.what = GHEE_SAY_BYE}, {.what = GHEE_SAY_FLUSH}, {.what = GHEE_SAY_END},
    {.what = GHEE_SAY_WANT, .want = 7},
    {.what = GHEE_SAY_PASSED, .passed = {.attempt = {1, 2, 3}, .to = 4, .number = 5}},
    {.what = GHEE_SAY_LOST, .attempt = {1, 2, 3}}, {.what = GHEE_SAY_REVOKE, .attempt = {1, UINT32_MAX, 3}},
    {.what = GHEE_SAY_ACCEPT, .attempt = {1, 2, 3}}, {.what = GHEE_SAY_REFUSE, .attempt = {1, 2, 3}},
    {.what = GHEE_SAY_COMPLETE, .complete = {.attempt = {1, 2, 3}, .rows = 4, .rejected = 5}},
    {.what = GHEE_SAY_STAGED, .staged = {.ticket = 1, .rows = 2, .rejected = 3, .files = 4, .chunks = {attempts, 2, 2}}},
    {.what = GHEE_SAY_FILE, .file = {.ticket = 1, .dead_letter = true, .name = (char *)"part-0", .checksum = (char *)"b2:0", .rows = 2, .size_bytes = 3}},
    {.what = GHEE_SAY_SCHEMA, .schema = {.stage = 1, .data = "bytes", .size_bytes = 5}}, {.what = GHEE_SAY_FIXED_SCHEMA, .schema = {.stage = 2, .data = "b", .size_bytes = 1}},
    {.what = GHEE_SAY_FAILED, .failed = {.status = 13, .message = (char *)"why"}},
    {.what = GHEE_SAY_LOG, .log = {.text = (char *)"loss", .value = 0.25}},
    {.what = GHEE_SAY_METRICS, .metrics = {1, 2, 3, 4, 5, 6, 7, 8, PLACE}},
    {.what = GHEE_SAY_STEP, .step = {1, 2, true}}, {.what = GHEE_SAY_GO, .step = {1, 2, false}},
    {.what = GHEE_SAY_CHECKPOINT, .checkpoint = {.step = 1, .place = PLACE, .file = (char *)"train/1.0", .position = "pos", .position_bytes = 3}},
    {.what = GHEE_SAY_RESULT, .result = {.step = 9, .file = (char *)"value.tmp"}},
    {.what = GHEE_SAY_WELCOME, .welcome = {.generation = 1, .world = 2, .step = 3, .incarnation = 4, .place = PLACE, .state_file = (char *)"f", .position = "p", .position_bytes = 1}},
    {.what = GHEE_SAY_PEER, .peer = {1, 2, (char *)"s-2"}}, {.what = GHEE_SAY_NO_PEER, .peer = {1, 0, (char *)""}},
    {.what = GHEE_SAY_LEASE, .lease = {.attempt = {1, 2, 3}, .from_seq = 4}},
    {.what = GHEE_SAY_COMMITTED, .ticket = 8}, {.what = GHEE_SAY_STORED, .ticket = 9}};
enum { MESSAGES = sizeof messages / sizeof *messages };

static void encode(const ghee_say_message *message, ghee_buffer *out) { assert_int_equal(ghee_say_encode(message, out, NULL), GHEE_OK); }

static void what_is_said_is_heard(void **state) {
  (void)state;
  for (int i = 0; i < MESSAGES; i++) {
    ghee_buffer said = {0}, again = {0};
    ghee_say_message heard;
    encode(&messages[i], &said);
    assert_int_equal(ghee_say_decode(said.data, said.size, &heard, NULL), GHEE_OK);
    assert_int_equal(heard.what, messages[i].what);
    encode(&heard, &again);
    assert_int_equal(again.size, said.size);
    assert_memory_equal(again.data, said.data, said.size);
    ghee_say_fini(&heard);
    ghee_buffer_fini(&said);
    ghee_buffer_fini(&again);
  }
  ghee_buffer said = {0};
  ghee_say_message heard;
  encode(&messages[0], &said);
  assert_int_equal(ghee_say_decode(said.data, said.size, &heard, NULL), GHEE_OK);
  assert_int_equal(heard.hello.pid, -3);
  assert_string_equal(heard.hello.address, "s-1");
  assert_memory_equal(heard.hello.accepted.items, attempts, sizeof attempts);
  assert_int_equal(heard.hello.place.chunk, 4);
  assert_int_equal(heard.hello.step, 5);
  ghee_say_fini(&heard);
  ghee_buffer_fini(&said);
}

static void what_is_cut_or_longer_is_refused(void **state) {
  (void)state;
  for (int i = 0; i < MESSAGES; i++) {
    ghee_buffer said = {0};
    ghee_say_message heard;
    encode(&messages[i], &said);
    for (size_t size = 0; size < said.size; size++) assert_int_equal(ghee_say_decode(said.data, size, &heard, NULL), GHEE_CORRUPT);
    ghee_buffer_put_u8(&said, 0);
    assert_int_equal(ghee_say_decode(said.data, said.size, &heard, NULL), GHEE_CORRUPT);
    ghee_buffer_fini(&said);
  }
}

static void unknown_kinds_are_refused(void **state) {
  (void)state;
  ghee_say_message heard;
  static const uint8_t kinds[] = {0, GHEE_SAY_BYE + 1, GHEE_SAY_WELCOME - 1, GHEE_SAY_END + 1, 255};
  for (size_t i = 0; i < sizeof kinds; i++) assert_int_equal(ghee_say_decode(&kinds[i], 1, &heard, NULL), GHEE_CORRUPT);
}

static void nothing_is_left_without_memory(void **state) {
  (void)state;
  for (int i = 0; i < MESSAGES; i++) {
    ghee_buffer said = {0};
    encode(&messages[i], &said);
    for (long n = 1, done = 0; !done; n++) {
      ghee_say_message heard;
      ghee_memory_fail_at(n);
      ghee_status status = ghee_say_decode(said.data, said.size, &heard, NULL);
      done = ghee_memory_count() < n;
      ghee_memory_fail_at(0);
      assert_int_equal(status == GHEE_OK, done);
      if (status == GHEE_OK) ghee_say_fini(&heard);
    }
    ghee_buffer_fini(&said);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_said_is_heard), cmocka_unit_test(what_is_cut_or_longer_is_refused),
                                     cmocka_unit_test(unknown_kinds_are_refused), cmocka_unit_test(nothing_is_left_without_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
