/* SPDX-License-Identifier: Apache-2.0
 * What a shm sender and its receiver say over their Unix socket: one record a packet. */
#ifndef GHEE_STREAM_SHM_H
#define GHEE_STREAM_SHM_H

#include "transport/stream/stream.h"

typedef enum ghee_shm_kind {
  GHEE_SHM_HELLO = 1,  /* sender: size = its name; the secret stands behind the record */
  GHEE_SHM_WELCOME,    /* receiver: size = window */
  GHEE_SHM_SEGMENT,    /* sender: segment, size; its descriptor comes along */
  GHEE_SHM_DATA,       /* sender: segment, offset, size, head; segment 0: head only */
  GHEE_SHM_RELEASE,    /* receiver: segment, offset */
  GHEE_SHM_ACK,        /* receiver: head */
  GHEE_SHM_WANT        /* receiver: head */
} ghee_shm_kind;

typedef struct ghee_shm_record {
  uint32_t kind, segment;
  uint64_t offset, size;
  ghee_stream_head head;
} ghee_shm_record;

ghee_status ghee_shm_receiver_open(const ghee_stream_options *options, ghee_receiver **out, const char **address, ghee_error *err);
ghee_status ghee_shm_pop(ghee_receiver *receiver, int timeout_ms, ghee_message *out, ghee_error *err);
void ghee_shm_release(ghee_message *message);
ghee_status ghee_shm_ack(ghee_receiver *receiver, uint64_t peer, const ghee_stream_head *head, ghee_error *err);
ghee_status ghee_shm_want(ghee_receiver *receiver, uint32_t epoch, uint32_t chunk, uint32_t seq, ghee_error *err);
void ghee_shm_receiver_wake(ghee_receiver *receiver);
void ghee_shm_receiver_close(ghee_receiver *receiver);

ghee_status ghee_shm_sender_open(const ghee_stream_options *options, void (*on_event)(void *, const ghee_sender_event *), void *user,
                                 ghee_sender **out, ghee_error *err);
ghee_status ghee_shm_connect(ghee_sender *sender, const char *address, uint64_t self, uint64_t peer, ghee_error *err);
void ghee_shm_disconnect(ghee_sender *sender, uint64_t peer);
ghee_status ghee_shm_reserve(ghee_sender *sender, size_t size_bytes, bool force, ghee_slot *out, ghee_error *err);
void ghee_shm_unreserve(ghee_sender *sender, ghee_slot *slot);
ghee_status ghee_shm_pick(ghee_sender *sender, uint64_t *peer, ghee_error *err);
ghee_status ghee_shm_send(ghee_sender *sender, uint64_t peer, const ghee_stream_head *head, ghee_slot *slot, size_t size_bytes, ghee_error *err);
void ghee_shm_revoke(ghee_sender *sender, uint64_t token);
void ghee_shm_sender_cancel(ghee_sender *sender);
void ghee_shm_sender_close(ghee_sender *sender, bool drain);

#endif
