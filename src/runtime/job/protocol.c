/* SPDX-License-Identifier: Apache-2.0
 * Messages to bytes and back. Each message's fields stand once, in `visit`, which writes, reads or frees them. */
#include "runtime/job/protocol.h"

#include <string.h>

#include "base/array.h"
#include "base/memory.h"

/* One of three walks over a message's fields. */
typedef struct walk {
  ghee_buffer *out;    /* encoding */
  ghee_reader *in;     /* decoding */
} walk;                /* neither: freeing */

static void flag(walk *w, bool *value) {
  if (w->out) ghee_buffer_put_u8(w->out, *value);
  if (!w->in) return;
  uint8_t byte = ghee_reader_u8(w->in);
  *value = byte == 1;
  w->in->bad |= byte > 1;
}
static void u32(walk *w, uint32_t *value) {
  if (w->out) ghee_buffer_put_u32(w->out, *value);
  else if (w->in) *value = ghee_reader_u32(w->in);
}
static void u64(walk *w, uint64_t *value) {
  if (w->out) ghee_buffer_put_u64(w->out, *value);
  else if (w->in) *value = ghee_reader_u64(w->in);
}
static void real(walk *w, double *value) {
  uint64_t bits;
  memcpy(&bits, value, sizeof bits);
  u64(w, &bits);
  memcpy(value, &bits, sizeof bits);
}
static void text(walk *w, char **value) {
  if (w->out) ghee_buffer_put_text(w->out, *value);
  else if (w->in) *value = ghee_reader_text(w->in);
  else ghee_free(*value);
}
static void bytes(walk *w, const void **data, size_t *size) {
  if (w->out) ghee_buffer_put_bytes(w->out, *data, *size);
  else if (w->in) *data = ghee_reader_bytes(w->in, size);
}
static void attempt(walk *w, ghee_attempt *value) {
  u32(w, &value->epoch);
  u32(w, &value->chunk);
  u64(w, &value->token);
}
static void place(walk *w, ghee_place *value) {
  u32(w, &value->epoch);
  u32(w, &value->window);
  u32(w, &value->seq);
  u32(w, &value->chunk);
}

static void attempts(walk *w, ghee_attempt **items, size_t *count, size_t *capacity) {
  if (!w->out && !w->in) {
    ghee_free(*items);
    return;
  }
  uint32_t n = (uint32_t)*count;
  u32(w, &n);
  if (w->in) {
    size_t left = (size_t)(w->in->end - w->in->at) / 16; /* an attempt takes 16 bytes */
    *items = n <= left ? ghee_alloc_zero(n + 1, sizeof **items) : NULL;
    *count = *capacity = *items ? n : 0;
    if (!*items) w->in->bad = true;
  }
  for (size_t i = 0; i < *count; i++) attempt(w, &(*items)[i]);
}

static void visit(walk *w, ghee_say_message *m) {
  switch (m->what) {
    case GHEE_SAY_HELLO:
      u32(w, &m->hello.stage);
      u32(w, &m->hello.worker);
      u64(w, (uint64_t *)&m->hello.pid);
      text(w, &m->hello.address);
      u32(w, &m->hello.generation);
      attempts(w, &m->hello.accepted.items, &m->hello.accepted.count, &m->hello.accepted.capacity);
      place(w, &m->hello.place);
      u64(w, &m->hello.step);
      return;
    case GHEE_SAY_WANT: u32(w, &m->want); return;
    case GHEE_SAY_PASSED:
      attempt(w, &m->passed.attempt);
      u32(w, &m->passed.to);
      u64(w, &m->passed.number);
      return;
    case GHEE_SAY_LOST: case GHEE_SAY_REVOKE: case GHEE_SAY_ACCEPT: case GHEE_SAY_REFUSE: attempt(w, &m->attempt); return;
    case GHEE_SAY_COMPLETE:
      attempt(w, &m->complete.attempt);
      u64(w, &m->complete.rows);
      u64(w, &m->complete.rejected);
      return;
    case GHEE_SAY_FILE:
      u64(w, &m->file.ticket);
      flag(w, &m->file.dead_letter);
      text(w, &m->file.name);
      text(w, &m->file.checksum);
      u64(w, &m->file.rows);
      u64(w, &m->file.size_bytes);
      return;
    case GHEE_SAY_STAGED:
      u64(w, &m->staged.ticket);
      u64(w, &m->staged.rows);
      u64(w, &m->staged.rejected);
      u32(w, &m->staged.files);
      attempts(w, &m->staged.chunks.items, &m->staged.chunks.count, &m->staged.chunks.capacity);
      return;
    case GHEE_SAY_SCHEMA: case GHEE_SAY_FIXED_SCHEMA:
      u32(w, &m->schema.stage);
      bytes(w, &m->schema.data, &m->schema.size_bytes);
      return;
    case GHEE_SAY_FAILED:
      u32(w, &m->failed.status);
      text(w, &m->failed.message);
      return;
    case GHEE_SAY_LOG:
      text(w, &m->log.text);
      real(w, &m->log.value);
      return;
    case GHEE_SAY_METRICS:
      u64(w, &m->metrics.busy_ns);
      u64(w, &m->metrics.starved_ns);
      u64(w, &m->metrics.blocked_ns);
      u64(w, &m->metrics.batches);
      u64(w, &m->metrics.rows_in);
      u64(w, &m->metrics.rows_out);
      u64(w, &m->metrics.memory_bytes);
      u64(w, &m->metrics.first_batch_ns);
      place(w, &m->metrics.place);
      return;
    case GHEE_SAY_STEP: case GHEE_SAY_GO:
      u32(w, &m->step.epoch);
      u64(w, &m->step.step);
      flag(w, &m->step.have);
      return;
    case GHEE_SAY_CHECKPOINT:
      u64(w, &m->checkpoint.step);
      place(w, &m->checkpoint.place);
      text(w, &m->checkpoint.file);
      bytes(w, &m->checkpoint.position, &m->checkpoint.position_bytes);
      return;
    case GHEE_SAY_RESULT:
      u64(w, &m->result.step);
      text(w, &m->result.file);
      return;
    case GHEE_SAY_WELCOME:
      u32(w, &m->welcome.generation);
      u32(w, &m->welcome.world);
      u64(w, &m->welcome.step);
      u32(w, &m->welcome.incarnation);
      place(w, &m->welcome.place);
      text(w, &m->welcome.state_file);
      bytes(w, &m->welcome.position, &m->welcome.position_bytes);
      return;
    case GHEE_SAY_PEER: case GHEE_SAY_NO_PEER:
      u32(w, &m->peer.worker);
      u64(w, &m->peer.number);
      text(w, &m->peer.address);
      return;
    case GHEE_SAY_LEASE:
      attempt(w, &m->lease.attempt);
      u32(w, &m->lease.from_seq);
      return;
    case GHEE_SAY_COMMITTED: case GHEE_SAY_STORED: u64(w, &m->ticket); return;
    case GHEE_SAY_READY: case GHEE_SAY_BYE: case GHEE_SAY_FLUSH: case GHEE_SAY_END: return;
  }
}

static bool known(uint8_t what) {
  return (what >= GHEE_SAY_HELLO && what <= GHEE_SAY_BYE) || (what >= GHEE_SAY_WELCOME && what <= GHEE_SAY_END);
}

ghee_status ghee_say_encode(const ghee_say_message *message, ghee_buffer *out, ghee_error *err) {
  ghee_say_message copy = *message; /* visit may write where it reads; encoding writes nothing */
  walk w = {.out = out};
  ghee_buffer_put_u8(out, (uint8_t)message->what);
  visit(&w, &copy);
  return ghee_buffer_check(out, "saying something to another process", err);
}

ghee_status ghee_say_decode(const void *data, size_t size_bytes, ghee_say_message *out, ghee_error *err) {
  ghee_reader reader = ghee_reader_of(data, size_bytes);
  ghee_say_message message;
  memset(&message, 0, sizeof message);
  uint8_t what = ghee_reader_u8(&reader);
  if (reader.bad || !known(what)) return ghee_error_set(err, GHEE_CORRUPT, "a message of unknown kind %u", what);
  message.what = (ghee_say)what;
  walk w = {.in = &reader};
  visit(&w, &message);
  if (!ghee_reader_done(&reader)) {
    ghee_say_fini(&message);
    return ghee_error_set(err, GHEE_CORRUPT, "a message of kind %u and %zu bytes cannot be read", what, size_bytes);
  }
  *out = message;
  return GHEE_OK;
}

void ghee_say_fini(ghee_say_message *message) {
  walk w = {0};
  visit(&w, message);
}
