/* SPDX-License-Identifier: Apache-2.0
 * A list and three counters. The queue is searched only for what is known to be in it: a want goes to every sender, and most never have
 * what it asks for. */
#include "transport/stream/backlog.h"

void ghee_backlog_list_push(ghee_backlog_list *to, ghee_backlog_item *one) {
  one->next = NULL;
  *to->last = one;
  to->last = &one->next;
}

ghee_backlog_item *ghee_backlog_list_pop(ghee_backlog_list *from, ghee_backlog_item **at) {
  ghee_backlog_item *one = *at;
  *at = one->next;
  if (!one->next) from->last = at;
  return one;
}

static bool has_credit(const ghee_backlog *of, const ghee_backlog_item *one) {
  if (one->size_bytes == 0) return true;
  if (!of->welcomed) return false;
  return of->in_flight_bytes == 0 || (one->size_bytes <= of->window_bytes && of->in_flight_bytes <= of->window_bytes - one->size_bytes);
}

static bool is_wanted(const ghee_backlog *of, const ghee_backlog_item *one) {
  return of->wants && one->head.epoch == of->epoch && one->head.chunk == of->chunk && one->head.seq == of->seq;
}

static ghee_backlog_item **find_wanted(ghee_backlog *of) {
  for (ghee_backlog_item **at = &of->queue.first; *at; at = &(*at)->next)
    if (is_wanted(of, *at)) return at;
  return NULL;
}

void ghee_backlog_init(ghee_backlog *of) {
  *of = (ghee_backlog){.queue.last = &of->queue.first};
}

void ghee_backlog_welcome(ghee_backlog *of, uint64_t window_bytes) {
  of->welcomed = true;
  of->window_bytes = window_bytes;
}

bool ghee_backlog_push(ghee_backlog *of, ghee_backlog_item *one) {
  bool wanted = is_wanted(of, one);
  ghee_backlog_list_push(&of->queue, one);
  of->queued_bytes += one->size_bytes;
  if (wanted) of->wanted_waits = true;
  return wanted || (of->queue.first == one && has_credit(of, one));
}

ghee_backlog_item **ghee_backlog_next(ghee_backlog *of) {
  if (of->queue.first && has_credit(of, of->queue.first)) return &of->queue.first;
  return of->wanted_waits ? find_wanted(of) : NULL;
}

ghee_backlog_item *ghee_backlog_pop(ghee_backlog *of, ghee_backlog_item **at) {
  if (is_wanted(of, *at)) of->wants = of->wanted_waits = false;
  ghee_backlog_item *one = ghee_backlog_list_pop(&of->queue, at);
  of->queued_bytes -= one->size_bytes;
  of->in_flight_bytes += one->size_bytes;
  return one;
}

void ghee_backlog_release(ghee_backlog *of, uint64_t size_bytes) {
  of->in_flight_bytes -= size_bytes < of->in_flight_bytes ? size_bytes : of->in_flight_bytes;
}

void ghee_backlog_want(ghee_backlog *of, const ghee_stream_head *head) {
  of->wants = true;
  of->epoch = head->epoch;
  of->chunk = head->chunk;
  of->seq = head->seq;
  of->wanted_waits = find_wanted(of) != NULL;
}

void ghee_backlog_revoke(ghee_backlog *of, uint64_t token, ghee_backlog_list *out) {
  for (ghee_backlog_item **at = &of->queue.first; *at;) {
    if ((*at)->head.token != token) {
      at = &(*at)->next;
      continue;
    }
    ghee_backlog_item *one = ghee_backlog_list_pop(&of->queue, at);
    of->queued_bytes -= one->size_bytes;
    ghee_backlog_list_push(out, one);
  }
  of->wanted_waits = find_wanted(of) != NULL;
}

uint64_t ghee_backlog_credit_bytes(const ghee_backlog *of) {
  uint64_t taken = of->in_flight_bytes + of->queued_bytes;
  return taken < of->window_bytes ? of->window_bytes - taken : 0;
}
