/* SPDX-License-Identifier: Apache-2.0
 * Growing bytes, little-endian fields put in and taken out, and readers that are cut off anywhere. */
#include "base/nth_alloc.h"

#include <stdio.h>

#include "base/buffer.h"
#include "base/random.h"

static void test_layout_is_little_endian(void **state) {
  (void)state;
  ghee_buffer b = {0};
  ghee_buffer_put_u8(&b, 0xab);
  ghee_buffer_put_u32(&b, 0x01020304);
  ghee_buffer_put_u64(&b, 0x1112131415161718);
  ghee_buffer_put_text(&b, "hi");
  ghee_buffer_put_text(&b, NULL);
  static const uint8_t want[] = {0xab, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 2, 0, 0, 0, 'h', 'i', 0, 0, 0, 0};
  assert_int_equal(b.size, sizeof want);
  assert_memory_equal(b.data, want, sizeof want);
  ghee_buffer_clear(&b);
  assert_int_equal(b.size, 0);
  assert_string_equal(ghee_buffer_text(&b), "");
  ghee_buffer_fini(&b);
  ghee_buffer_fini(&b); /* twice is fine */
}

static void test_printf_and_text(void **state) {
  (void)state;
  ghee_buffer b = {0};
  for (int i = 0; i < 1000; i++) ghee_buffer_printf(&b, "%d,", i);
  assert_int_equal(b.size, 10 * 2 + 90 * 3 + 900 * 4);
  assert_int_equal(strncmp(ghee_buffer_text(&b), "0,1,2,", 6), 0);
  size_t size = b.size;
  ghee_buffer_printf(&b, "%s", "");
  assert_int_equal(b.size, size);
  assert_int_equal(strlen(ghee_buffer_text(&b)), size);
  ghee_buffer_fini(&b);
}

/* ---- random sequences of fields, read back whole and cut off at every byte ---- */

enum { FIELDS = 40 };
typedef struct field { int kind; uint64_t number; char text[24]; size_t size; } field;

static void make_fields(ghee_random *random, field *fields, ghee_buffer *out) {
  for (int i = 0; i < FIELDS; i++) {
    field *f = &fields[i];
    *f = (field){.kind = (int)ghee_random_below(random, 5), .number = ghee_random_next(random), .size = ghee_random_below(random, 20)};
    for (size_t k = 0; k < f->size; k++) f->text[k] = (char)('a' + ghee_random_below(random, 26));
    if (f->kind == 0) ghee_buffer_put_u8(out, (uint8_t)f->number);
    if (f->kind == 1) ghee_buffer_put_u32(out, (uint32_t)f->number);
    if (f->kind == 2) ghee_buffer_put_u64(out, f->number);
    if (f->kind == 3) ghee_buffer_put_text(out, f->text);
    if (f->kind == 4) ghee_buffer_put_bytes(out, f->text, f->size);
  }
}

/* Whether all fields come out as they went in. */
static bool take_fields(ghee_reader *r, const field *fields) {
  bool same = true;
  for (int i = 0; i < FIELDS; i++) {
    const field *f = &fields[i];
    if (f->kind == 0) same &= ghee_reader_u8(r) == (uint8_t)f->number;
    if (f->kind == 1) same &= ghee_reader_u32(r) == (uint32_t)f->number;
    if (f->kind == 2) same &= ghee_reader_u64(r) == f->number;
    if (f->kind == 3) {
      char *text = ghee_reader_text(r);
      same &= text && strcmp(text, f->text) == 0;
      ghee_free(text);
    }
    if (f->kind == 4) {
      size_t size;
      const void *data = ghee_reader_bytes(r, &size);
      same &= data && size == f->size && memcmp(data, f->text, size) == 0;
      if (!data) assert_int_equal(size, 0);
    }
  }
  return same;
}

static void test_what_goes_in_comes_out(void **state) {
  (void)state;
  ghee_random random;
  ghee_random_init(&random, 1, 0, 0);
  for (int round = 0; round < 50; round++) {
    field fields[FIELDS];
    ghee_buffer b = {0};
    make_fields(&random, fields, &b);
    ghee_reader r = ghee_reader_of(b.data, b.size);
    assert_true(take_fields(&r, fields));
    assert_true(ghee_reader_done(&r));
    for (size_t cut = 0; cut < b.size; cut++) {
      uint8_t *exact = malloc(cut ? cut : 1); /* a byte read behind the end is seen */
      memcpy(exact, b.data, cut);
      r = ghee_reader_of(exact, cut);
      take_fields(&r, fields);
      assert_true(r.bad);
      assert_false(ghee_reader_done(&r));
      free(exact);
    }
    ghee_buffer_put_u8(&b, 0);
    r = ghee_reader_of(b.data, b.size);
    take_fields(&r, fields);
    assert_false(ghee_reader_done(&r)); /* something is left over */
    ghee_buffer_fini(&b);
  }
}

static void test_a_bad_reader_stays_bad(void **state) {
  (void)state;
  ghee_reader r = ghee_reader_of("\x05\0\0\0abc", 7);
  assert_null(ghee_reader_text(&r)); /* says 5, has 3 */
  assert_true(r.bad);
  assert_int_equal(ghee_reader_u8(&r), 0);
  assert_int_equal(ghee_reader_u64(&r), 0);
  r = ghee_reader_of("\x03\0\0\0a\0c", 7);
  assert_null(ghee_reader_text(&r)); /* a NUL inside */
  assert_true(r.bad);
  r = ghee_reader_of(NULL, 0);
  assert_true(ghee_reader_done(&r));
  assert_int_equal(ghee_reader_u32(&r), 0);
  assert_false(ghee_reader_done(&r));
}

static ghee_status put_some(void *user, ghee_error *err) {
  (void)user;
  ghee_buffer b = {0};
  for (int i = 0; i < 300; i++) {
    ghee_buffer_put_text(&b, "some text");
    ghee_buffer_printf(&b, "%d", i);
  }
  ghee_status status = ghee_buffer_check(&b, "putting", err);
  assert_int_equal(b.failed, status != GHEE_OK);
  if (b.failed) {
    size_t size = b.size;
    ghee_buffer_put_u64(&b, 1);
    assert_int_equal(b.size, size); /* later puts do nothing */
    assert_string_equal(ghee_buffer_text(&b), "");
  }
  ghee_buffer_fini(&b);
  return status;
}

static void test_memory_runs_out(void **state) {
  (void)state;
  assert_true(nth_alloc_each(put_some, NULL, GHEE_OK) > 4);
  ghee_buffer b = {0};
  assert_null(ghee_buffer_room(&b, SIZE_MAX - 10)); /* no such size */
  assert_true(b.failed);
  ghee_buffer_clear(&b);
  ghee_buffer_put_u8(&b, 1);
  assert_int_equal(ghee_buffer_check(&b, "x", NULL), GHEE_OK);
  ghee_buffer_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layout_is_little_endian), cmocka_unit_test(test_printf_and_text), cmocka_unit_test(test_what_goes_in_comes_out),
      cmocka_unit_test(test_a_bad_reader_stays_bad), cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
