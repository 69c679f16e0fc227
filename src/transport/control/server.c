/* SPDX-License-Identifier: Apache-2.0
 * The coordinator's side: one listening socket, a connection for each worker, one epoll over all. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/unix_address.h"
#include "transport/control/control.h"

typedef struct packet { struct packet *next; size_t size; uint8_t data[]; } packet;

typedef struct connection {
  uint64_t peer;
  int fd, pid;
  bool trusted;               /* has said the secret */
  packet *first, **last;      /* waits to be written */
} connection;

struct ghee_control_server {
  int listener, epoll;
  char *path;
  uint8_t secret[GHEE_CONTROL_SECRET];
  uint64_t next_peer;
  ghee_map connections;       /* peer → connection */
  struct epoll_event ready[64];
  int n_ready, at;
  uint8_t data[GHEE_CONTROL_MAX];
};

static ghee_status listen_at(const char *path, int *out, ghee_error *err) {
  struct sockaddr_un address;
  socklen_t size;
  int folder_fd, fd;
  ghee_status status = ghee_unix_address(path, &address, &size, &folder_fd, err);
  if (status == GHEE_OK) {
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 1024) != 0) {
      status = ghee_error_set_errno(err, errno, "cannot listen at %s", path);
      if (fd >= 0) close(fd);
    } else {
      *out = fd;
    }
  }
  if (folder_fd >= 0) close(folder_fd);
  return status;
}

static bool watch(ghee_control_server *server, int fd, uint64_t peer, uint32_t events, int how) {
  struct epoll_event event = {.events = events, .data.u64 = peer};
  return epoll_ctl(server->epoll, how, fd, &event) == 0;
}

ghee_status ghee_control_server_open(const char *path, const uint8_t secret[GHEE_CONTROL_SECRET], ghee_control_server **out, ghee_error *err) {
  ghee_control_server *server = ghee_alloc_zero(1, sizeof *server);
  if (!server) return ghee_error_no_memory(err, "opening the control socket");
  server->listener = -1;
  server->epoll = epoll_create1(EPOLL_CLOEXEC);
  server->path = ghee_strdup(path);
  memcpy(server->secret, secret, GHEE_CONTROL_SECRET);
  ghee_status status = !server->path ? ghee_error_no_memory(err, "opening the control socket")
                       : server->epoll < 0 ? ghee_error_set_errno(err, errno, "cannot open the control socket")
                                           : listen_at(path, &server->listener, err);
  if (status == GHEE_OK && !watch(server, server->listener, 0, EPOLLIN, EPOLL_CTL_ADD)) status = ghee_error_set_errno(err, errno, "cannot open the control socket");
  if (status != GHEE_OK) {
    ghee_control_server_close(server);
    return status;
  }
  *out = server;
  return GHEE_OK;
}

static void drop(ghee_control_server *server, connection *of) {
  ghee_map_remove(&server->connections, of->peer);
  close(of->fd);
  for (packet *one = of->first, *next; one; one = next) {
    next = one->next;
    ghee_free(one);
  }
  ghee_free(of);
}

void ghee_control_server_close(ghee_control_server *server) {
  if (!server) return;
  size_t at = 0;
  for (connection *of; (of = ghee_map_next(&server->connections, &at, NULL)); at = 0) drop(server, of);
  ghee_map_fini(&server->connections);
  if (server->listener >= 0) {
    close(server->listener);
    unlink(server->path);
  }
  if (server->epoll >= 0) close(server->epoll);
  ghee_free(server->path);
  ghee_free(server);
}

int ghee_control_server_fd(const ghee_control_server *server) { return server->epoll; }

static ghee_status add(ghee_control_server *server, int fd, ghee_error *err) {
  struct ucred who;
  socklen_t size = sizeof who;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.uid != geteuid()) {
    close(fd);
    return GHEE_OK; /* a stranger */
  }
  connection *of = ghee_alloc_zero(1, sizeof *of);
  if (of) *of = (connection){.peer = ++server->next_peer, .fd = fd, .pid = who.pid, .last = &of->first};
  if (!of || !ghee_map_put(&server->connections, of->peer, of)) {
    ghee_free(of);
    close(fd);
    return ghee_error_no_memory(err, "taking a connection");
  }
  if (watch(server, fd, of->peer, EPOLLIN, EPOLL_CTL_ADD)) return GHEE_OK;
  ghee_status status = ghee_error_set_errno(err, errno, "cannot take a connection");
  drop(server, of);
  return status;
}

static ghee_status accept_all(ghee_control_server *server, ghee_error *err) {
  for (;;) {
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) GHEE_TRY(add(server, fd, err));
    else if (errno == EAGAIN) return GHEE_OK;
    else if (errno != EINTR && errno != ECONNABORTED) return ghee_error_set_errno(err, errno, "cannot take a connection of a worker");
  }
}

/* Writes what waits. false: the peer is gone. */
static bool flush(ghee_control_server *server, connection *of) {
  while (of->first) {
    packet *one = of->first;
    if (send(of->fd, one->data, one->size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN;
    }
    of->first = one->next;
    if (!of->first) of->last = &of->first;
    ghee_free(one);
  }
  return watch(server, of->fd, of->peer, EPOLLIN, EPOLL_CTL_MOD);
}

/* One packet of a connection as an event. GHEE_AGAIN: nothing to tell. */
static ghee_status receive(ghee_control_server *server, connection *of, ghee_control_event *out) {
  ssize_t n = recv(of->fd, server->data, sizeof server->data, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return GHEE_AGAIN;
  *out = (ghee_control_event){.what = GHEE_CONTROL_CLOSED, .peer = of->peer, .pid = of->pid};
  if (n <= 0) {
    bool known = of->trusted;
    drop(server, of);
    return known ? GHEE_OK : GHEE_AGAIN;
  }
  if (of->trusted) {
    out->what = GHEE_CONTROL_MESSAGE;
    out->data = server->data;
    out->size_bytes = (size_t)n;
    return GHEE_OK;
  }
  if (n != GHEE_CONTROL_SECRET || sodium_memcmp(server->data, server->secret, GHEE_CONTROL_SECRET) != 0) {
    drop(server, of);
    return GHEE_AGAIN;
  }
  of->trusted = true;
  out->what = GHEE_CONTROL_OPENED;
  return GHEE_OK;
}

ghee_status ghee_control_server_next(ghee_control_server *server, ghee_control_event *out, ghee_error *err) {
  for (;;) {
    if (server->at == server->n_ready) {
      server->at = 0;
      server->n_ready = epoll_wait(server->epoll, server->ready, 64, 0);
      if (server->n_ready <= 0) {
        server->n_ready = 0;
        return GHEE_AGAIN;
      }
    }
    struct epoll_event *event = &server->ready[server->at];
    if (event->data.u64 == 0) {
      server->at++;
      GHEE_TRY(accept_all(server, err));
      continue;
    }
    connection *of = ghee_map_get(&server->connections, event->data.u64);
    if (of && (event->events & EPOLLOUT) && !flush(server, of)) event->events |= EPOLLHUP;
    /* A connection stays the current one while it has packets, so that a burst costs one epoll_wait. */
    if (of && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && receive(server, of, out) == GHEE_OK) return GHEE_OK;
    server->at++;
  }
}

ghee_status ghee_control_server_send(ghee_control_server *server, uint64_t peer, const void *data, size_t size, ghee_error *err) {
  connection *of = ghee_map_get(&server->connections, peer);
  if (!of) return ghee_error_set(err, GHEE_CLOSED, "the worker is gone");
  if (size > GHEE_CONTROL_MAX) return ghee_error_set(err, GHEE_INTERNAL, "a message of %zu bytes is too large", size);
  if (!of->first) {
    if (send(of->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return GHEE_OK;
    if (errno != EAGAIN && errno != EINTR) return ghee_error_set(err, GHEE_CLOSED, "the worker is gone"); /* CLOSED follows as an event */
  }
  packet *one = ghee_alloc(sizeof *one + size);
  if (!one) return ghee_error_no_memory(err, "queueing a message");
  one->next = NULL;
  one->size = size;
  memcpy(one->data, data, size);
  *of->last = one;
  of->last = &one->next;
  watch(server, of->fd, of->peer, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
  return GHEE_OK;
}

void ghee_control_server_drop(ghee_control_server *server, uint64_t peer) {
  connection *of = ghee_map_get(&server->connections, peer);
  if (of) drop(server, of);
}
