/* SPDX-License-Identifier: Apache-2.0
 * Streams between hosts: ZeroMQ over TCP, with CURVE. */
#include "transport/stream/zmq_wire.h"

const struct ghee_stream_ops ghee_stream_zmq = {
    .name = "zmq", .receiver_open = ghee_zmq_receiver_open, .pop = ghee_zmq_pop, .release = ghee_zmq_release, .ack = ghee_zmq_ack, .want = ghee_zmq_want,
    .receiver_wake = ghee_zmq_receiver_wake, .receiver_close = ghee_zmq_receiver_close, .sender_open = ghee_zmq_sender_open, .connect = ghee_zmq_connect,
    .disconnect = ghee_zmq_disconnect, .reserve = ghee_zmq_reserve, .unreserve = ghee_zmq_unreserve, .pick = ghee_zmq_pick, .send = ghee_zmq_send,
    .revoke = ghee_zmq_revoke, .sender_cancel = ghee_zmq_sender_cancel, .sender_close = ghee_zmq_sender_close};
