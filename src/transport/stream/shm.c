/* SPDX-License-Identifier: Apache-2.0
 * Streams on one host: a sender writes into memory that its receivers map, and tells them over a Unix socket where. */
#include "transport/stream/shm.h"

const struct ghee_stream_ops ghee_stream_shm = {
    .name = "shm", .receiver_open = ghee_shm_receiver_open, .pop = ghee_shm_pop, .release = ghee_shm_release, .ack = ghee_shm_ack, .want = ghee_shm_want,
    .receiver_wake = ghee_shm_receiver_wake, .receiver_close = ghee_shm_receiver_close, .sender_open = ghee_shm_sender_open, .connect = ghee_shm_connect,
    .disconnect = ghee_shm_disconnect, .reserve = ghee_shm_reserve, .unreserve = ghee_shm_unreserve, .pick = ghee_shm_pick, .send = ghee_shm_send,
    .revoke = ghee_shm_revoke, .sender_cancel = ghee_shm_sender_cancel, .sender_close = ghee_shm_sender_close};
