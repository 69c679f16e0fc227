/* SPDX-License-Identifier: Apache-2.0
 * The sending end of shm. One lock over everything; a thread that takes what receivers say and sends what waited for credit. Whoever
 * sends with credit and an empty queue does so from his own thread. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/unix_address.h"
#include "transport/stream/arena.h"
#include "transport/stream/backlog.h"
#include "transport/stream/seat.h"
#include "transport/stream/shm.h"

enum { DRAIN_MS = 5000 };

/* A message that waits, or is in flight. */
typedef struct item { ghee_backlog_item base; ghee_arena_piece piece; bool has_piece; } item;

typedef struct peer {
  uint64_t name;
  int fd;
  ghee_backlog backlog;
  ghee_backlog_list in_flight;
  GHEE_ARRAY(uint32_t) known;     /* segments that it has mapped */
  bool blocked;                   /* the socket was full: the thread goes on when it is not */
} peer;

struct ghee_sender {
  ghee_stream_options options;
  void (*on_event)(void *user, const ghee_sender_event *event);
  void *user;
  int epoll, wake;
  pthread_t thread;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    ghee_arena arena;
    GHEE_ARRAY(peer *) peers;
    uint64_t wants;               /* how many came: a waiting reserve returns */
    bool canceled, stopping;
  } locked;
};

/* ---- items and peers; the lock is held ---- */

static void item_free(ghee_sender *sender, item *one) {
  if (one->has_piece) ghee_arena_free(&sender->locked.arena, &one->piece);
  ghee_free(one);
}

static void items_free(ghee_sender *sender, ghee_backlog_list *all) {
  while (all->first) item_free(sender, (item *)ghee_backlog_list_pop(all, &all->first));
}

static peer *find(ghee_sender *sender, uint64_t name) {
  for (size_t i = 0; i < sender->locked.peers.count; i++)
    if (sender->locked.peers.items[i]->name == name) return sender->locked.peers.items[i];
  return NULL;
}

/* A receiver that is alive may still read what is in flight to it. */
static void drop(ghee_sender *sender, peer *of) {
  for (size_t i = 0; i < sender->locked.peers.count; i++)
    if (sender->locked.peers.items[i] == of) sender->locked.peers.items[i] = sender->locked.peers.items[--sender->locked.peers.count];
  items_free(sender, &of->backlog.queue);
  while (of->in_flight.first) {
    item *one = (item *)ghee_backlog_list_pop(&of->in_flight, &of->in_flight.first);
    ghee_arena_retire(&sender->locked.arena, &one->piece);
    ghee_free(one);
  }
  close(of->fd);
  ghee_array_fini(&of->known);
  ghee_free(of);
  pthread_cond_broadcast(&sender->locked.changed);
}

static void watch(ghee_sender *sender, peer *of, int how) {
  /* By name: a peer may be dropped while its event waits to be looked at. */
  struct epoll_event event = {.events = EPOLLIN | (of->blocked ? EPOLLOUT : 0), .data.u64 = of->name};
  epoll_ctl(sender->epoll, how, of->fd, &event);
}

/* ---- the wire; the lock is held ---- */

/* false: the socket is full. A dead one takes everything: its end is seen by the thread. */
static bool post(peer *of, const ghee_shm_record *record, int fd) {
  union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = {0};
  struct iovec part = {.iov_base = (void *)record, .iov_len = sizeof *record};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  ssize_t n;
  do n = sendmsg(of->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n >= 0 || errno != EAGAIN;
}

static bool knows(const peer *of, uint32_t segment) {
  for (size_t i = 0; i < of->known.count; i++)
    if (of->known.items[i] == segment) return true;
  return false;
}

static bool introduce(peer *of, const ghee_arena_segment *segment) {
  if (knows(of, segment->id)) return true;
  ghee_shm_record record = {.kind = GHEE_SHM_SEGMENT, .segment = segment->id, .size = segment->size};
  return post(of, &record, segment->fd) && ghee_array_push(&of->known, segment->id);
}

static bool transmit(peer *of, const item *one) {
  ghee_shm_record record = {.kind = GHEE_SHM_DATA, .head = one->base.head};
  if (one->base.size_bytes > 0) {
    if (!introduce(of, one->piece.segment)) return false;
    record.segment = one->piece.segment->id;
    record.offset = one->piece.offset;
    record.size = one->base.size_bytes;
  }
  return post(of, &record, -1);
}

/* Sends all that may go, until the socket is full. */
static void flush(ghee_sender *sender, peer *of) {
  bool was = of->blocked;
  of->blocked = false;
  for (ghee_backlog_item **at; (at = ghee_backlog_next(&of->backlog));) {
    of->blocked = !transmit(of, (const item *)*at);
    if (of->blocked) break;
    ghee_backlog_item *one = ghee_backlog_pop(&of->backlog, at);
    if (one->size_bytes > 0) ghee_backlog_list_push(&of->in_flight, one);
    else item_free(sender, (item *)one);
  }
  if (was != of->blocked) watch(sender, of, EPOLL_CTL_MOD);
}

/* ---- the thread ---- */

static void released(ghee_sender *sender, peer *of, const ghee_shm_record *record) {
  for (ghee_backlog_item **at = &of->in_flight.first; *at; at = &(*at)->next) {
    item *one = (item *)*at;
    if (one->piece.segment->id != record->segment || one->piece.offset != record->offset) continue;
    ghee_backlog_list_pop(&of->in_flight, at);
    ghee_backlog_release(&of->backlog, one->base.size_bytes);
    item_free(sender, one);
    pthread_cond_broadcast(&sender->locked.changed);
    flush(sender, of);
    return;
  }
}

static void welcomed(ghee_sender *sender, peer *of, uint64_t window) {
  ghee_backlog_welcome(&of->backlog, window);
  pthread_cond_broadcast(&sender->locked.changed);
  flush(sender, of);
}

/* Takes one record of a receiver; *event is to be told when true comes back. The lock is held. */
static bool heard(ghee_sender *sender, peer *of, const ghee_shm_record *record, ghee_sender_event *event) {
  *event = (ghee_sender_event){.peer = of->name, .head = record->head};
  if (record->kind == GHEE_SHM_WELCOME) welcomed(sender, of, record->size);
  if (record->kind == GHEE_SHM_RELEASE) released(sender, of, record);
  if (record->kind == GHEE_SHM_WANT) {
    ghee_backlog_want(&of->backlog, &record->head);
    flush(sender, of);
    event->what = GHEE_SENDER_WANT;
    return true;
  }
  event->what = GHEE_SENDER_ACK;
  return record->kind == GHEE_SHM_ACK;
}

/* Everything that one receiver has said. */
static void listen_to(ghee_sender *sender, uint64_t name, uint32_t events) {
  for (;;) {
    ghee_shm_record record;
    ghee_sender_event event = {.what = GHEE_SENDER_GONE, .peer = name};
    pthread_mutex_lock(&sender->locked.mutex);
    peer *of = find(sender, name);
    ssize_t n = of ? recv(of->fd, &record, sizeof record, MSG_DONTWAIT) : -1;
    bool nothing = n < 0 && (!of || errno == EAGAIN || errno == EINTR), gone = of && !nothing && n != sizeof record, tell = gone;
    if (of && !gone && (events & EPOLLOUT)) flush(sender, of);
    if (gone) drop(sender, of);
    else if (!nothing) tell = heard(sender, of, &record, &event);
    pthread_mutex_unlock(&sender->locked.mutex);
    if (tell) sender->on_event(sender->user, &event);
    if (tell && event.what == GHEE_SENDER_WANT) {
      pthread_mutex_lock(&sender->locked.mutex);
      sender->locked.wants++; /* after the user knows of it */
      pthread_cond_broadcast(&sender->locked.changed);
      pthread_mutex_unlock(&sender->locked.mutex);
    }
    if (nothing || gone) return;
    events = 0;
  }
}

static bool stopping(ghee_sender *sender) {
  pthread_mutex_lock(&sender->locked.mutex);
  bool stop = sender->locked.stopping;
  pthread_mutex_unlock(&sender->locked.mutex);
  return stop;
}

static void *run(void *user) {
  ghee_sender *sender = user;
  struct epoll_event ready[32];
  while (!stopping(sender)) {
    int n = epoll_wait(sender->epoll, ready, 32, -1);
    if (n < 0 && errno != EINTR) break;
    for (int i = 0; i < n; i++) {
      uint64_t count;
      if (ready[i].data.u64 != 0) listen_to(sender, ready[i].data.u64, ready[i].events);
      else if (read(sender->wake, &count, sizeof count) < 0) continue;
    }
  }
  return NULL;
}

/* ---- the owner's calls ---- */

ghee_status ghee_shm_reserve(ghee_sender *sender, size_t size_bytes, bool force, ghee_slot *out, ghee_error *err) {
  ghee_arena_piece *piece = ghee_alloc(sizeof *piece);
  if (!piece) return ghee_error_no_memory(err, "reserving room for a message");
  pthread_mutex_lock(&sender->locked.mutex);
  uint64_t wants = sender->locked.wants;
  while (!force && !sender->locked.canceled && wants == sender->locked.wants && !ghee_arena_fits(&sender->locked.arena, size_bytes))
    pthread_cond_wait(&sender->locked.changed, &sender->locked.mutex);
  ghee_status status = GHEE_OK;
  if (sender->locked.canceled) status = GHEE_CANCELED;
  else if (!force && !ghee_arena_fits(&sender->locked.arena, size_bytes)) status = GHEE_AGAIN;
  if (status == GHEE_OK) status = ghee_arena_alloc(&sender->locked.arena, size_bytes, piece, err);
  pthread_mutex_unlock(&sender->locked.mutex);
  if (status != GHEE_OK) {
    ghee_free(piece);
    return status;
  }
  *out = (ghee_slot){.data = piece->segment->data + piece->offset, .size_bytes = size_bytes, .hold = piece};
  return GHEE_OK;
}

void ghee_shm_unreserve(ghee_sender *sender, ghee_slot *slot) {
  pthread_mutex_lock(&sender->locked.mutex);
  ghee_arena_free(&sender->locked.arena, slot->hold);
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
  ghee_free(slot->hold);
  slot->hold = NULL;
}

static ghee_candidate look(const void *peer_) {
  const peer *of = peer_;
  return (ghee_candidate){.name = of->name, .credit_bytes = ghee_backlog_credit_bytes(&of->backlog)};
}

ghee_status ghee_shm_pick(ghee_sender *sender, uint64_t *name, ghee_error *err) {
  (void)err;
  const peer *best = NULL;
  pthread_mutex_lock(&sender->locked.mutex);
  while (!sender->locked.canceled && !(best = ghee_seat_choose((void *const *)sender->locked.peers.items, sender->locked.peers.count, sender->options.seat, look)))
    pthread_cond_wait(&sender->locked.changed, &sender->locked.mutex);
  if (best) *name = best->name;
  pthread_mutex_unlock(&sender->locked.mutex);
  return best ? GHEE_OK : GHEE_CANCELED;
}

ghee_status ghee_shm_send(ghee_sender *sender, uint64_t name, const ghee_stream_head *head, ghee_slot *slot, size_t size_bytes, ghee_error *err) {
  item *one = ghee_alloc_zero(1, sizeof *one);
  if (!one) {
    if (slot) ghee_shm_unreserve(sender, slot);
    return ghee_error_no_memory(err, "sending a message");
  }
  *one = (item){.base = {.head = *head, .size_bytes = slot ? size_bytes : 0}, .has_piece = slot != NULL};
  if (slot) {
    one->piece = *(ghee_arena_piece *)slot->hold;
    ghee_free(slot->hold);
    slot->hold = NULL;
  }
  pthread_mutex_lock(&sender->locked.mutex);
  peer *of = find(sender, name);
  if (!of) {
    item_free(sender, one);
    pthread_cond_broadcast(&sender->locked.changed);
    pthread_mutex_unlock(&sender->locked.mutex);
    return ghee_error_set(err, GHEE_CLOSED, "the receiver is gone");
  }
  if (ghee_backlog_push(&of->backlog, &one->base) && !of->blocked) flush(sender, of);
  pthread_mutex_unlock(&sender->locked.mutex);
  return GHEE_OK;
}

void ghee_shm_revoke(ghee_sender *sender, uint64_t token) {
  pthread_mutex_lock(&sender->locked.mutex);
  for (size_t i = 0; i < sender->locked.peers.count; i++) {
    ghee_backlog_list revoked = {.last = &revoked.first};
    ghee_backlog_revoke(&sender->locked.peers.items[i]->backlog, token, &revoked);
    items_free(sender, &revoked);
  }
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
}

/* ---- connections ---- */

/* The answer is heard by the thread. A socket that was just connected has room for it. */
static ghee_status say_hello(const ghee_sender *sender, int fd, uint64_t self, ghee_error *err) {
  struct { ghee_shm_record record; uint8_t secret[GHEE_KEY_BYTES]; } hello = {.record = {.kind = GHEE_SHM_HELLO, .size = self}};
  memcpy(hello.secret, sender->options.key.secret_key, GHEE_KEY_BYTES);
  return send(fd, &hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello ? GHEE_OK : ghee_error_set(err, GHEE_CLOSED, "a receiver has closed: %s", strerror(errno));
}

static ghee_status open_socket(const char *address, int *out, ghee_error *err) {
  struct sockaddr_un at;
  socklen_t size;
  int folder_fd, fd = -1;
  ghee_status status = ghee_unix_address(address, &at, &size, &folder_fd, err);
  if (status == GHEE_OK && (fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0) status = ghee_error_set_errno(err, errno, "cannot make a socket");
  if (status == GHEE_OK && connect(fd, (struct sockaddr *)&at, size) != 0) status = ghee_error_set(err, GHEE_CLOSED, "nobody listens at %s: %s", address, strerror(errno));
  if (status != GHEE_OK && fd >= 0) close(fd);
  if (folder_fd >= 0) close(folder_fd);
  *out = fd;
  return status;
}

ghee_status ghee_shm_connect(ghee_sender *sender, const char *address, uint64_t self, uint64_t name, ghee_error *err) {
  peer *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "connecting to a receiver");
  of->name = name;
  ghee_backlog_init(&of->backlog);
  of->in_flight.last = &of->in_flight.first;
  ghee_status status = open_socket(address, &of->fd, err);
  if (status == GHEE_OK) {
    status = say_hello(sender, of->fd, self, err);
    if (status != GHEE_OK) close(of->fd);
  }
  if (status != GHEE_OK) {
    ghee_free(of);
    return status;
  }
  pthread_mutex_lock(&sender->locked.mutex);
  if (ghee_array_push(&sender->locked.peers, of)) {
    watch(sender, of, EPOLL_CTL_ADD);
  } else {
    status = ghee_error_no_memory(err, "connecting to a receiver");
    close(of->fd);
    ghee_free(of);
  }
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
  return status;
}

void ghee_shm_disconnect(ghee_sender *sender, uint64_t name) {
  pthread_mutex_lock(&sender->locked.mutex);
  peer *of = find(sender, name);
  if (of) drop(sender, of);
  pthread_mutex_unlock(&sender->locked.mutex);
}

/* ---- life ---- */

void ghee_shm_sender_cancel(ghee_sender *sender) {
  pthread_mutex_lock(&sender->locked.mutex);
  sender->locked.canceled = true;
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
}

ghee_status ghee_shm_sender_open(const ghee_stream_options *options, void (*on_event)(void *, const ghee_sender_event *), void *user,
                                 ghee_sender **out, ghee_error *err) {
  ghee_sender *sender = ghee_alloc_zero(1, sizeof *sender);
  if (!sender) return ghee_error_no_memory(err, "opening a sender");
  sender->options = *options;
  sender->on_event = on_event;
  sender->user = user;
  sender->epoll = epoll_create1(EPOLL_CLOEXEC);
  sender->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&sender->locked.mutex, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&sender->locked.changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  ghee_arena_init(&sender->locked.arena, options->arena_bytes, true);
  struct epoll_event event = {.events = EPOLLIN};
  if (sender->epoll >= 0 && sender->wake >= 0 && epoll_ctl(sender->epoll, EPOLL_CTL_ADD, sender->wake, &event) == 0 &&
      pthread_create(&sender->thread, NULL, run, sender) == 0) {
    *out = sender;
    return GHEE_OK;
  }
  ghee_status status = ghee_error_set_errno(err, errno, "cannot open a sender");
  if (sender->epoll >= 0) close(sender->epoll);
  if (sender->wake >= 0) close(sender->wake);
  pthread_cond_destroy(&sender->locked.changed);
  pthread_mutex_destroy(&sender->locked.mutex);
  ghee_free(sender);
  return status;
}

static bool idle(const ghee_sender *sender) {
  for (size_t i = 0; i < sender->locked.peers.count; i++)
    if (sender->locked.peers.items[i]->backlog.queue.first || sender->locked.peers.items[i]->in_flight.first) return false;
  return true;
}

void ghee_shm_sender_close(ghee_sender *sender, bool drain) {
  if (!sender) return;
  uint64_t end_ns = ghee_clock_ns() + DRAIN_MS * (uint64_t)1000000;
  struct timespec end = {.tv_sec = (time_t)(end_ns / 1000000000), .tv_nsec = (long)(end_ns % 1000000000)};
  pthread_mutex_lock(&sender->locked.mutex);
  while (drain && !idle(sender) && pthread_cond_timedwait(&sender->locked.changed, &sender->locked.mutex, &end) == 0) continue;
  sender->locked.stopping = true;
  pthread_mutex_unlock(&sender->locked.mutex);
  uint64_t one = 1;
  while (write(sender->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
  pthread_join(sender->thread, NULL);
  while (sender->locked.peers.count > 0) drop(sender, sender->locked.peers.items[0]);
  ghee_array_fini(&sender->locked.peers);
  ghee_arena_fini(&sender->locked.arena);
  close(sender->epoll);
  close(sender->wake);
  pthread_cond_destroy(&sender->locked.changed);
  pthread_mutex_destroy(&sender->locked.mutex);
  ghee_free(sender);
}
