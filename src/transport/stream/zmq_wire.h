/* SPDX-License-Identifier: Apache-2.0
 * What a zmq sender and its receiver say to each other, one ZeroMQ message a record, and the sockets they say it through.
 *
 * Design notes
 * - A receiver has one ROUTER, a sender one DEALER for each receiver, which connects once and never again by itself. Neither has a
 *   high-water mark: byte credits bound what is under way.
 * - HELLO, WELCOME, READY: the receiver takes a sender for connected at READY. What the WELCOME has answered was alive after the
 *   receiver had read all earlier ends of connections, so the next end of that descriptor is this sender's (zmq_receiver.c).
 * - BYE and FAREWELL: what was sent before a BYE is in the receiver's process when FAREWELL comes. Only then does a sender close its
 *   socket: the kernel throws away what it still has to send when a socket is closed that has something unread.
 * - The record stands before the batch in one message. With its 72 bytes the batch is aligned to 64 bytes where the allocator maps
 *   pages for ZeroMQ's message (16 bytes of malloc, 40 of ZeroMQ's before the content). */
#ifndef GHEE_STREAM_ZMQ_WIRE_H
#define GHEE_STREAM_ZMQ_WIRE_H

#include <zmq.h>

#include "transport/stream/stream.h"

typedef enum ghee_zmq_kind {
  GHEE_ZMQ_HELLO = 1,  /* sender: value = its name */
  GHEE_ZMQ_WELCOME,    /* receiver: value = window */
  GHEE_ZMQ_READY,      /* sender */
  GHEE_ZMQ_DATA,       /* sender: head; the batch stands behind the record */
  GHEE_ZMQ_BYE,        /* sender: nothing follows */
  GHEE_ZMQ_FAREWELL,   /* receiver: everything up to BYE has come */
  GHEE_ZMQ_RELEASE,    /* receiver: value = bytes */
  GHEE_ZMQ_ACK,        /* receiver: head */
  GHEE_ZMQ_WANT        /* receiver: head */
} ghee_zmq_kind;

enum { GHEE_ZMQ_VERSION = 1 };

typedef struct ghee_zmq_record {
  uint32_t kind, version;
  uint64_t value;
  ghee_stream_head head;
  uint8_t pad[16];
} ghee_zmq_record;
_Static_assert(sizeof(ghee_zmq_record) == 72, "aligns the batch behind it");

/** A context with one I/O thread. GHEE_UNSUPPORTED: libzmq without CURVE. */
ghee_status ghee_zmq_context(void **out, ghee_error *err);
/** A socket with the job's keys (a server's when `server`) unless `plain`, without limits of its own. */
ghee_status ghee_zmq_socket(void *context, int type, const ghee_stream_options *options, bool server, void **out, ghee_error *err);
/** A socket that hears of the connections of `socket` (`events`: ZMQ_EVENT_…). */
ghee_status ghee_zmq_monitor(void *context, void *socket, int events, void **out, ghee_error *err);
/** Next event of a monitor and its value; 0: none. */
int ghee_zmq_monitor_next(void *monitor, int *value);
/** Closes at once; NULL is nothing. */
void ghee_zmq_close(void *socket);
/** Closes the context once all of its sockets are closed. */
void ghee_zmq_context_close(void *context);

/** Where ZAP asks whether a client may come in (NULL with `plain`). */
ghee_status ghee_zmq_gate_open(void *context, const ghee_stream_options *options, void **out, ghee_error *err);
/** Answers what is asked: only who has the job's key comes in. */
void ghee_zmq_gate_answer(void *gate, const ghee_stream_key *key);

ghee_status ghee_zmq_receiver_open(const ghee_stream_options *options, ghee_receiver **out, const char **address, ghee_error *err);
ghee_status ghee_zmq_pop(ghee_receiver *receiver, int timeout_ms, ghee_message *out, ghee_error *err);
void ghee_zmq_release(ghee_message *message);
ghee_status ghee_zmq_ack(ghee_receiver *receiver, uint64_t peer, const ghee_stream_head *head, ghee_error *err);
ghee_status ghee_zmq_want(ghee_receiver *receiver, uint32_t epoch, uint32_t chunk, uint32_t seq, ghee_error *err);
void ghee_zmq_receiver_wake(ghee_receiver *receiver);
void ghee_zmq_receiver_close(ghee_receiver *receiver);

ghee_status ghee_zmq_sender_open(const ghee_stream_options *options, void (*on_event)(void *, const ghee_sender_event *), void *user,
                                 ghee_sender **out, ghee_error *err);
ghee_status ghee_zmq_connect(ghee_sender *sender, const char *address, uint64_t self, uint64_t peer, ghee_error *err);
void ghee_zmq_disconnect(ghee_sender *sender, uint64_t peer);
ghee_status ghee_zmq_reserve(ghee_sender *sender, size_t size_bytes, bool force, ghee_slot *out, ghee_error *err);
void ghee_zmq_unreserve(ghee_sender *sender, ghee_slot *slot);
ghee_status ghee_zmq_pick(ghee_sender *sender, uint64_t *peer, ghee_error *err);
ghee_status ghee_zmq_send(ghee_sender *sender, uint64_t peer, const ghee_stream_head *head, ghee_slot *slot, size_t size_bytes, ghee_error *err);
void ghee_zmq_revoke(ghee_sender *sender, uint64_t token);
void ghee_zmq_sender_cancel(ghee_sender *sender);
void ghee_zmq_sender_close(ghee_sender *sender, bool drain);

#endif
