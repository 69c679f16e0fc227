/* SPDX-License-Identifier: Apache-2.0
 * Batches from the stage before: frames off the transport as items, each attempt's in order. Owned by the host's thread.
 *
 * Design notes
 * - A producer that is gone leaves attempts without an end; each becomes an ABORT, so that what was made of them is dropped behind.
 * - An END is acknowledged by the host once the stage behind has all of the attempt's batches in its hands' reach (queued): the
 *   holder of the chunk is then this worker. */
#include <string.h>

#include "runtime/worker/producers.h"
#include "runtime/worker/worker.h"

typedef struct running { ghee_attempt attempt; uint64_t peer; } running; /* an attempt whose end has not come */

struct ghee_inlet {
  ghee_worker *worker;
  const struct ghee_stream_ops *ops;
  ghee_receiver *receiver;
  GHEE_ARRAY(running) running;
  ghee_producers producers;
  GHEE_ARRAY(ghee_attempt) aborted;  /* to be handed out */
};

static running *running_of(ghee_inlet *inlet, const ghee_attempt *attempt) {
  for (size_t i = 0; i < inlet->running.count; i++)
    if (inlet->running.items[i].attempt.token == attempt->token) return &inlet->running.items[i];
  return NULL;
}

static void drop_running(ghee_inlet *inlet, running *one) { *one = inlet->running.items[--inlet->running.count]; }

static ghee_status gone(ghee_inlet *inlet, uint64_t peer, ghee_error *err) {
  for (size_t i = inlet->running.count; i-- > 0;) {
    running *one = &inlet->running.items[i];
    if (one->peer != peer) continue;
    if (!ghee_array_push(&inlet->aborted, one->attempt)) return ghee_error_no_memory(err, "dropping the chunks of a dead producer");
    drop_running(inlet, one);
  }
  ghee_producers_forget(&inlet->producers, peer);
  return GHEE_OK;
}

/* One message; *ready says whether it gave an item. Takes the message. */
static ghee_status take(ghee_inlet *inlet, ghee_message *message, ghee_item *out, bool *ready, ghee_error *err) {
  *ready = false;
  if (message->what == GHEE_MESSAGE_GONE) return gone(inlet, message->peer, err);
  const ghee_stream_head *head = &message->head;
  ghee_attempt attempt = {.epoch = head->epoch, .chunk = head->chunk, .token = head->token};
  *out = (ghee_item){.attempt = attempt, .seq = head->seq, .file = head->file, .row = head->rows};
  if (head->kind == GHEE_FRAME_SCHEMA) {
    ghee_status status = ghee_producers_learn(&inlet->producers, message, err);
    inlet->ops->release(message);
    return status;
  }
  bool alive = ghee_attempts_alive(&inlet->worker->attempts, &attempt);
  running *known = running_of(inlet, &attempt);
  if (!alive || head->kind == GHEE_FRAME_ABORT) {
    inlet->ops->release(message);
    if (known) drop_running(inlet, known);
    out->what = GHEE_ITEM_ABORT;
    *ready = known != NULL;
    return GHEE_OK;
  }
  if (!known && head->kind != GHEE_FRAME_END && !ghee_array_push(&inlet->running, ((running){.attempt = attempt, .peer = message->peer}))) {
    inlet->ops->release(message);
    return ghee_error_no_memory(err, "opening a chunk");
  }
  *ready = true;
  switch (head->kind) {
    case GHEE_FRAME_BATCH:
      out->what = GHEE_ITEM_BATCH;
      return ghee_producers_open(&inlet->producers, message, &out->batch, err);
    case GHEE_FRAME_REJECTS:
      out->what = GHEE_ITEM_REJECTS;
      out->text = ghee_strndup(message->data, message->size_bytes);
      inlet->ops->release(message);
      return out->text ? GHEE_OK : ghee_error_no_memory(err, "taking rejected rows");
    case GHEE_FRAME_END:
      out->what = GHEE_ITEM_END;
      out->budget_bytes = (size_t)message->peer; /* whom to acknowledge it to */
      if (known) drop_running(inlet, known);
      inlet->ops->release(message);
      return GHEE_OK;
    default:
      inlet->ops->release(message);
      return ghee_error_set(err, GHEE_CORRUPT, "a frame of unknown kind %u came", head->kind);
  }
}

ghee_status ghee_inlet_next(ghee_inlet *inlet, ghee_item *out, ghee_error *err) {
  for (;;) {
    if (ghee_worker_ending(inlet->worker)) return GHEE_CANCELED;
    if (inlet->aborted.count > 0) {
      *out = (ghee_item){.what = GHEE_ITEM_ABORT, .attempt = inlet->aborted.items[--inlet->aborted.count]};
      return GHEE_OK;
    }
    ghee_message message;
    ghee_status status = inlet->ops->pop(inlet->receiver, -1, &message, err);
    if (status == GHEE_AGAIN) continue;
    GHEE_TRY(status);
    bool ready;
    GHEE_TRY(take(inlet, &message, out, &ready, err));
    if (ready) return GHEE_OK;
  }
}

ghee_status ghee_inlet_ack(ghee_inlet *inlet, const ghee_item *end, ghee_error *err) {
  ghee_stream_head head = {.kind = GHEE_FRAME_END, .epoch = end->attempt.epoch, .chunk = end->attempt.chunk, .seq = end->seq,
                           .token = end->attempt.token};
  ghee_status status = inlet->ops->ack(inlet->receiver, end->budget_bytes, &head, err);
  return status == GHEE_CLOSED ? GHEE_OK : status; /* a dead producer needs no answer */
}

void ghee_inlet_wake(ghee_inlet *inlet) { inlet->ops->receiver_wake(inlet->receiver); }

ghee_status ghee_inlet_open(ghee_worker *worker, ghee_inlet **out, const char **address, ghee_error *err) {
  ghee_inlet *inlet = ghee_alloc_zero(1, sizeof *inlet);
  if (!inlet) return ghee_error_no_memory(err, "opening the way in");
  *inlet = (ghee_inlet){.worker = worker, .ops = worker->transport, .producers = {.ops = worker->transport}};
  uint32_t producers = worker->spec->stages[worker->stage - 1].workers;
  ghee_stream_options options = {.key = worker->key, .folder = worker->folder, .host = "127.0.0.1",
                                 .window_bytes = worker->of->buffer_bytes / 4 / producers + 1};
  ghee_status status = inlet->ops->receiver_open(&options, &inlet->receiver, address, err);
  if (status != GHEE_OK) {
    ghee_free(inlet);
    return status;
  }
  *out = inlet;
  return GHEE_OK;
}

void ghee_inlet_close(ghee_inlet *inlet) {
  if (!inlet) return;
  inlet->ops->receiver_close(inlet->receiver);
  ghee_producers_fini(&inlet->producers);
  ghee_array_fini(&inlet->running);
  ghee_array_fini(&inlet->aborted);
  ghee_free(inlet);
}
