/* SPDX-License-Identifier: Apache-2.0
 * What waits at a sender for one receiver's credit, and the account of that credit: bytes that wait, bytes in flight, the window. Knows
 * which message goes next, not how: memory and wire are the backend's. Owner: the lock of the sender. */
#ifndef GHEE_STREAM_BACKLOG_H
#define GHEE_STREAM_BACKLOG_H

#include "transport/stream/stream.h"

/** A message; a backend's own begin with it. */
typedef struct ghee_backlog_item {
  struct ghee_backlog_item *next;
  ghee_stream_head head;
  uint64_t size_bytes;            /* 0: goes without credit */
} ghee_backlog_item;

/** First in, first out. Empty: {.last = &list.first}. */
typedef struct ghee_backlog_list { ghee_backlog_item *first, **last; } ghee_backlog_list;

void ghee_backlog_list_push(ghee_backlog_list *to, ghee_backlog_item *one);
/** Takes out the item that `at`, which is `first` or a `next` of the list, points to. */
ghee_backlog_item *ghee_backlog_list_pop(ghee_backlog_list *from, ghee_backlog_item **at);

typedef struct ghee_backlog {
  ghee_backlog_list queue;
  uint64_t window_bytes, queued_bytes, in_flight_bytes;
  bool welcomed;                  /* the receiver has answered: the window is known, and there may be credit */
  bool wants;                     /* the receiver has asked for (epoch, chunk, seq), which has not gone yet; it needs no credit */
  bool wanted_waits;              /* and it is in the queue */
  uint32_t epoch, chunk, seq;
} ghee_backlog;

/** Stays where it is: the queue points into it. */
void ghee_backlog_init(ghee_backlog *backlog);
/** The receiver has answered. */
void ghee_backlog_welcome(ghee_backlog *backlog, uint64_t window_bytes);
/** Takes the item. true: it is one that may go now. */
bool ghee_backlog_push(ghee_backlog *backlog, ghee_backlog_item *one);
/** Where the item is that may go next: the first if there is credit for it, so that nothing is overtaken without need, else the wanted
 *  one; NULL: none. */
ghee_backlog_item **ghee_backlog_next(ghee_backlog *backlog);
/** Gives the item at ghee_backlog_next, which is in flight from now on. */
ghee_backlog_item *ghee_backlog_pop(ghee_backlog *backlog, ghee_backlog_item **at);
/** The receiver has released so much of what was in flight. */
void ghee_backlog_release(ghee_backlog *backlog, uint64_t size_bytes);
/** The receiver asks for the message of this (epoch, chunk, seq), in place of what it has asked for before. */
void ghee_backlog_want(ghee_backlog *backlog, const ghee_stream_head *head);
/** Moves what waits of an attempt to the end of `out`. */
void ghee_backlog_revoke(ghee_backlog *backlog, uint64_t token, ghee_backlog_list *out);
/** What of the window neither waits nor is in flight. */
uint64_t ghee_backlog_credit_bytes(const ghee_backlog *backlog);

#endif
