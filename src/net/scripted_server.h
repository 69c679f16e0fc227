/* SPDX-License-Identifier: Apache-2.0
 * For tests: a server on loopback that answers as a script says, where a real server cannot be made to: one step a request, in order,
 * whatever connection it comes on. */
#ifndef GHEE_NET_SCRIPTED_SERVER_H
#define GHEE_NET_SCRIPTED_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum scripted_end { KEEP, CLOSE, RESET, STALL } scripted_end; /* STALL: nothing more until the server is stopped */
typedef struct scripted_step {
  const char *answer; /* NULL: none */
  scripted_end end;
} scripted_step;

enum { SCRIPTED_MOST = 64, SCRIPTED_TEXT = 1 << 16 };

typedef struct scripted_server {
  const scripted_step *steps;
  size_t n_steps;
  int listener;
  char url[64];
  pthread_t acceptor, threads[SCRIPTED_MOST];
  int connections[SCRIPTED_MOST];
  pthread_mutex_t mutex;
  size_t n_connections, next;              /* under the mutex */
  char *requests[SCRIPTED_MOST];           /* what came in, by step; under the mutex */
} scripted_server;

typedef struct scripted_connection {
  scripted_server *server;
  int fd;
} scripted_connection;

/* Head and body of one request into `text`, of a long body the beginning; false at the end of the connection. */
static inline int scripted_receive(int fd, char *text) {
  char more[1 << 14];
  size_t size = 0, all = 0;
  for (;;) {
    ssize_t n = recv(fd, more, sizeof more, 0);
    if (n <= 0) return 0;
    size_t kept = SCRIPTED_TEXT - 1 - size < (size_t)n ? SCRIPTED_TEXT - 1 - size : (size_t)n;
    memcpy(text + size, more, kept);
    size += kept;
    all += (size_t)n;
    text[size] = 0;
    if (text[0] == 0x16) return 1; /* the beginning of TLS, which is not spoken here */
    char *end = strstr(text, "\r\n\r\n");
    if (!end) continue;
    char *length = strcasestr(text, "\r\ncontent-length:");
    if (strcasestr(text, "\r\ntransfer-encoding: chunked") && !strstr(end, "\r\n0\r\n\r\n")) continue;
    if (all >= (size_t)(end + 4 - text) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0)) return 1;
  }
}

static inline void scripted_send(int fd, const char *answer) {
  for (size_t left = strlen(answer); left > 0;) {
    ssize_t n = send(fd, answer, left, MSG_NOSIGNAL);
    if (n <= 0) return;
    answer += n;
    left -= (size_t)n;
  }
}

static inline void *scripted_serve(void *user) {
  scripted_connection of = *(scripted_connection *)user;
  char *text = malloc(SCRIPTED_TEXT);
  free(user);
  while (scripted_receive(of.fd, text)) {
    pthread_mutex_lock(&of.server->mutex);
    size_t at = of.server->next;
    if (at < of.server->n_steps) {
      of.server->requests[at] = strdup(text);
      of.server->next++;
    }
    pthread_mutex_unlock(&of.server->mutex);
    scripted_step step = at < of.server->n_steps ? of.server->steps[at] : (scripted_step){"HTTP/1.1 599 The script has ended\r\nContent-Length: 0\r\n\r\n", CLOSE};
    if (step.answer) scripted_send(of.fd, step.answer);
    if (step.end == KEEP) continue;
    if (step.end == RESET) setsockopt(of.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    if (step.end != STALL) break;
  }
  free(text);
  pthread_mutex_lock(&of.server->mutex);
  for (size_t i = 0; i < of.server->n_connections; i++)
    if (of.server->connections[i] == of.fd) of.server->connections[i] = -1;
  close(of.fd);
  pthread_mutex_unlock(&of.server->mutex);
  return NULL;
}

static inline void *scripted_accept(void *user) {
  scripted_server *server = user;
  for (int fd; (fd = accept(server->listener, NULL, NULL)) >= 0;) {
    scripted_connection *of = malloc(sizeof *of);
    *of = (scripted_connection){server, fd};
    pthread_mutex_lock(&server->mutex);
    size_t at = server->n_connections++;
    server->connections[at] = fd;
    pthread_create(&server->threads[at], NULL, scripted_serve, of);
    pthread_mutex_unlock(&server->mutex);
  }
  return NULL;
}

static inline void scripted_start(scripted_server *server, const scripted_step *steps, size_t n_steps) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  *server = (scripted_server){.steps = steps, .n_steps = n_steps, .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (bind(server->listener, (struct sockaddr *)&address, size) != 0 || listen(server->listener, SCRIPTED_MOST) != 0 ||
      getsockname(server->listener, (struct sockaddr *)&address, &size) != 0)
    abort();
  snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
  pthread_mutex_init(&server->mutex, NULL);
  pthread_create(&server->acceptor, NULL, scripted_accept, server);
}

/* After it, `requests` may be read; they are freed by scripted_free. */
static inline void scripted_stop(scripted_server *server) {
  shutdown(server->listener, SHUT_RDWR);
  pthread_join(server->acceptor, NULL);
  close(server->listener);
  pthread_mutex_lock(&server->mutex);
  for (size_t i = 0; i < server->n_connections; i++)
    if (server->connections[i] >= 0) shutdown(server->connections[i], SHUT_RDWR);
  pthread_mutex_unlock(&server->mutex);
  for (size_t i = 0; i < server->n_connections; i++) pthread_join(server->threads[i], NULL);
  pthread_mutex_destroy(&server->mutex);
}

static inline void scripted_free(scripted_server *server) {
  for (size_t i = 0; i < server->next; i++) free(server->requests[i]);
}

#endif
