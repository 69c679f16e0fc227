/* SPDX-License-Identifier: Apache-2.0
 * Contract: small messages between the coordinator and its workers: whole, in order, no larger than 64 KiB. The end of the
 * other side is seen at once. Here over Unix sockets (SOCK_SEQPACKET) in the job's 0700 folder; who connects must have the same
 * user id and say the job's secret first. */
#ifndef GHEE_TRANSPORT_CONTROL_H
#define GHEE_TRANSPORT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { GHEE_CONTROL_MAX = 64 << 10, GHEE_CONTROL_SECRET = 32 };

/* ---- the coordinator's side: one thread, an event loop over `fd` ---- */
typedef struct ghee_control_server ghee_control_server;
typedef struct ghee_control_event {
  enum { GHEE_CONTROL_OPENED, GHEE_CONTROL_MESSAGE, GHEE_CONTROL_CLOSED } what;
  uint64_t peer;          /* number of the connection, never used again */
  int pid;                /* OPENED: the process at the other end */
  const void *data;       /* MESSAGE: valid until the next call */
  size_t size_bytes;
} ghee_control_event;

/** Binds `path` (an old socket there is replaced). out gives: ghee_control_server_close. */
ghee_status ghee_control_server_open(const char *path, const uint8_t secret[GHEE_CONTROL_SECRET], ghee_control_server **out, ghee_error *err);
void ghee_control_server_close(ghee_control_server *server); /* removes the path */
/** Readable when there is an event, or something to write. */
int ghee_control_server_fd(const ghee_control_server *server);
/** Next event; GHEE_AGAIN when there is none. Also writes what waits to be written.  Blocks: no. */
ghee_status ghee_control_server_next(ghee_control_server *server, ghee_control_event *out, ghee_error *err);
/** Queued without bound (a worker that does not read is the caller's to kill); GHEE_CLOSED if the peer is gone. */
ghee_status ghee_control_server_send(ghee_control_server *server, uint64_t peer, const void *data, size_t size_bytes, ghee_error *err);
void ghee_control_server_drop(ghee_control_server *server, uint64_t peer);

/* ---- the worker's side ---- */
typedef struct ghee_control_client ghee_control_client;
/** GHEE_CLOSED or GHEE_NOT_FOUND when nobody listens: try again when told. */
ghee_status ghee_control_client_open(const char *path, const uint8_t secret[GHEE_CONTROL_SECRET], ghee_control_client **out, ghee_error *err);
void ghee_control_client_close(ghee_control_client *client);
/** For poll: readable when ghee_control_client_receive has something. */
int ghee_control_client_fd(const ghee_control_client *client);
/** Thread: any.  Blocks: while the socket is full (the coordinator always reads). GHEE_CLOSED. */
ghee_status ghee_control_client_send(ghee_control_client *client, const void *data, size_t size_bytes, ghee_error *err);
/** GHEE_AGAIN, GHEE_CLOSED. `data` borrows until the next call.  Thread: owner.  Blocks: no. */
ghee_status ghee_control_client_receive(ghee_control_client *client, const void **data, size_t *size_bytes, ghee_error *err);

#endif
