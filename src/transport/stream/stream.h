/* SPDX-License-Identifier: Apache-2.0
 * Contract: moving batches from producers to consumers under byte credits. Backends: shm (one host), zmq (between hosts,
 * CURVE). Both pass tests/conformance/stream/.
 *
 * Design notes
 * - A receiver listens and gives each sender a window in bytes. What a sender has sent and the receiver has not released
 *   counts against it, so releasing a message is the credit for the next. A message larger than the window goes when
 *   nothing is in flight to that receiver.
 * - Sending never waits: a message without credit stays in the sender's queue, whose memory is the sender's arena. Waiting
 *   happens in two places only: ghee_sender_reserve (room in the arena) and ghee_sender_pick (a receiver with credit).
 * - `want` names one message that the receiver cannot go on without: it is sent at once, credit or not.
 * - Messages of one sender to one receiver arrive in order, but for wanted ones. What was sent before a close or a death of the
 *   sender arrives; then comes GONE. Acknowledgements travel back in order.
 * - When a receiver is gone, the sender's events say so and what it had in flight or queued is freed. */
#ifndef GHEE_TRANSPORT_STREAM_H
#define GHEE_TRANSPORT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { GHEE_KEY_BYTES = 32 };

/** Names of shm receivers' sockets begin with it: whoever cleans up after killed workers knows them by it. */
#define GHEE_STREAM_SOCKET_PREFIX "s-"

/** Minted once a job (ghee_stream_key_new): CURVE key pair of all its sockets and secret of its hellos. */
typedef struct ghee_stream_key {
  uint8_t public_key[GHEE_KEY_BYTES], secret_key[GHEE_KEY_BYTES];
} ghee_stream_key;
ghee_status ghee_stream_key_new(ghee_stream_key *out, ghee_error *err);

/** Head of a message; opaque to the transport but for (epoch, chunk, seq), by which `want` finds it. */
typedef struct ghee_stream_head {
  uint32_t kind;              /* the user's */
  uint32_t epoch, chunk, seq; /* of the batch */
  uint64_t token;             /* of the attempt */
  uint64_t rows;              /* the user's: where in the input it came from, or a count */
  uint32_t file;
} ghee_stream_head;

typedef struct ghee_stream_options {
  ghee_stream_key key;
  const char *folder;         /* shm: 0700 folder for the socket */
  const char *host;           /* zmq: address to bind, "127.0.0.1" */
  size_t window_bytes;        /* receiver: what one sender may have in flight here */
  size_t arena_bytes;         /* sender: memory for messages */
  uint32_t seat;              /* sender: its number among those that send to the same receivers; where all have the same credit each picks another */
  bool plain;                 /* zmq: without CURVE (benchmarks only) */
} ghee_stream_options;

typedef struct ghee_receiver ghee_receiver;
typedef struct ghee_sender ghee_sender;

/** A message at the receiver. `data` is read-only and 64-byte aligned, valid until ghee_message_release. */
typedef struct ghee_message {
  enum { GHEE_MESSAGE_DATA, GHEE_MESSAGE_GONE } what;
  uint64_t peer;              /* the name that the sender gave itself in connect */
  ghee_stream_head head;
  const void *data;
  size_t size_bytes;
  void *hold;                 /* backend's; pass it to release */
} ghee_message;

/** Memory for one message in the sender's arena. */
typedef struct ghee_slot {
  void *data;                 /* 64-byte aligned, writable */
  size_t size_bytes;
  void *hold;
} ghee_slot;

typedef struct ghee_sender_event {
  enum { GHEE_SENDER_ACK, GHEE_SENDER_WANT, GHEE_SENDER_GONE } what;
  uint64_t peer;              /* as given to connect */
  ghee_stream_head head;      /* ACK: as acknowledged; WANT: epoch, chunk, seq */
} ghee_sender_event;

struct ghee_stream_ops {
  const char *name;

  /** Listens; `address` (owned by the receiver) is what senders connect to. */
  ghee_status (*receiver_open)(const ghee_stream_options *options, ghee_receiver **out, const char **address, ghee_error *err);
  /** Next message. Waits up to timeout_ms (-1 for ever). GHEE_AGAIN: time is up or receiver_wake was called.
   *  Thread: owner.  Blocks: yes. */
  ghee_status (*pop)(ghee_receiver *receiver, int timeout_ms, ghee_message *out, ghee_error *err);
  /** Gives the memory back and the credit with it. Thread: any; also after receiver_close. */
  void (*release)(ghee_message *message);
  /** Tells the sender that this message (usually an end of a chunk) was taken. Thread: owner. */
  ghee_status (*ack)(ghee_receiver *receiver, uint64_t peer, const ghee_stream_head *head, ghee_error *err);
  /** Asks every sender for this message, also those that connect before it has come. Thread: owner. */
  ghee_status (*want)(ghee_receiver *receiver, uint32_t epoch, uint32_t chunk, uint32_t seq, ghee_error *err);
  /** Makes a waiting pop return. Thread: any. */
  void (*receiver_wake)(ghee_receiver *receiver);
  /** Messages that are still held stay valid. Thread: owner. */
  void (*receiver_close)(ghee_receiver *receiver);

  /** `on_event` runs on the transport's thread and must not wait. */
  ghee_status (*sender_open)(const ghee_stream_options *options, void (*on_event)(void *user, const ghee_sender_event *event),
                             void *user, ghee_sender **out, ghee_error *err);
  /** `self` is the peer number that the receiver sees, `peer` the one by which this sender knows the receiver. Does not wait for the
   *  receiver, whose owner may be busy for long: until it has answered there is no credit, and a refusal (another key) is a GONE.
   *  GHEE_CLOSED, or GONE where that takes time to find out: nobody there.  Thread: any.  Blocks: no. */
  ghee_status (*connect)(ghee_sender *sender, const char *address, uint64_t self, uint64_t peer, ghee_error *err);
  /** Frees what is queued or in flight to `peer`; no GONE follows. */
  void (*disconnect)(ghee_sender *sender, uint64_t peer);
  /** Waits for room in the arena; `force` takes it beyond arena_bytes instead. GHEE_CANCELED after sender_cancel.  Thread: any. */
  ghee_status (*reserve)(ghee_sender *sender, size_t size_bytes, bool force, ghee_slot *out, ghee_error *err);
  void (*unreserve)(ghee_sender *sender, ghee_slot *slot);
  /** The connected receiver with most free credit, of equals by seat. Waits until one has any. GHEE_CANCELED. Thread: any. */
  ghee_status (*pick)(ghee_sender *sender, uint64_t *peer, ghee_error *err);
  /** Queues a message; takes the slot in any case. `size_bytes` ≤ the slot's (0 with a NULL slot: head only, needs no credit).
   *  GHEE_CLOSED: the peer is not (or no longer) connected.  Thread: any.  Blocks: no. */
  ghee_status (*send)(ghee_sender *sender, uint64_t peer, const ghee_stream_head *head, ghee_slot *slot, size_t size_bytes, ghee_error *err);
  /** Drops queued messages of an attempt (by token). */
  void (*revoke)(ghee_sender *sender, uint64_t token);
  /** Wakes everyone who waits. */
  void (*sender_cancel)(ghee_sender *sender);
  /** Waits (bounded) until everything queued is sent if `drain`, then closes. */
  void (*sender_close)(ghee_sender *sender, bool drain);
};

extern const struct ghee_stream_ops ghee_stream_shm, ghee_stream_zmq;

#endif
