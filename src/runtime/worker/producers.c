/* SPDX-License-Identifier: Apache-2.0
 * Schemas by sender; messages that stay until their batches are released. */
#include "runtime/worker/producers.h"

#include "base/memory.h"
#include "batch/frame.h"

static ghee_producer *find(const ghee_producers *producers, uint64_t peer) {
  for (size_t i = 0; i < producers->known.count; i++)
    if (producers->known.items[i].peer == peer) return &producers->known.items[i];
  return NULL;
}

void ghee_producers_fini(ghee_producers *producers) {
  for (size_t i = 0; i < producers->known.count; i++) ghee_schema_unref(producers->known.items[i].schema);
  ghee_array_fini(&producers->known);
}

ghee_status ghee_producers_learn(ghee_producers *producers, const ghee_message *message, ghee_error *err) {
  ghee_schema *schema;
  GHEE_TRY(ghee_schema_decode(message->data, message->size_bytes, &schema, err));
  ghee_producer *known = find(producers, message->peer);
  if (known) {
    ghee_schema_unref(known->schema);
    known->schema = schema;
  } else if (!ghee_array_push(&producers->known, ((ghee_producer){.peer = message->peer, .schema = schema}))) {
    ghee_schema_unref(schema);
    return ghee_error_no_memory(err, "learning a producer's schema");
  }
  return GHEE_OK;
}

ghee_schema *ghee_producers_schema(const ghee_producers *producers, uint64_t peer) {
  const ghee_producer *known = find(producers, peer);
  return known ? known->schema : NULL;
}

void ghee_producers_forget(ghee_producers *producers, uint64_t peer) {
  ghee_producer *known = find(producers, peer);
  if (!known) return;
  ghee_schema_unref(known->schema);
  *known = producers->known.items[--producers->known.count];
}

typedef struct hold { const struct ghee_stream_ops *ops; ghee_message message; } hold;

static void release_hold(void *user) {
  hold *of = user;
  of->ops->release(&of->message);
  ghee_free(of);
}

ghee_status ghee_producers_open(const ghee_producers *producers, ghee_message *message, ghee_batch *out, ghee_error *err) {
  if (message->size_bytes == 0) {
    producers->ops->release(message);
    return GHEE_OK;
  }
  ghee_schema *schema = ghee_producers_schema(producers, message->peer);
  hold *of = schema ? ghee_alloc(sizeof *of) : NULL;
  if (!of) {
    producers->ops->release(message);
    return schema ? ghee_error_no_memory(err, "taking a batch") : ghee_error_set(err, GHEE_CORRUPT, "a batch came before its schema");
  }
  *of = (hold){.ops = producers->ops, .message = *message};
  return ghee_frame_read(schema, message->data, message->size_bytes, true, release_hold, of, out, err);
}
