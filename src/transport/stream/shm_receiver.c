/* SPDX-License-Identifier: Apache-2.0
 * The receiving end of shm: no thread of its own; pop polls. A message that is held keeps its sender's memory mapped, also after the
 * sender or the receiver is gone. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <pthread.h>

#include "base/array.h"
#include "base/unix_address.h"
#include "transport/stream/shm.h"

typedef struct mapping { uint32_t id; uint8_t *data; uint64_t size; } mapping;

/* A connected sender. Lives as long as its socket is open or a message is held. */
typedef struct peer {
  uint64_t name;
  bool trusted;
  GHEE_ARRAY(mapping) mappings;
  struct {
    pthread_mutex_t mutex;
    int fd;                 /* -1: closed */
    size_t held;
    bool dropped;           /* by the receiver */
  } locked;
} peer;

struct ghee_receiver {
  ghee_stream_options options;
  char *path;
  int listener, epoll, wake;
  GHEE_ARRAY(peer *) peers;
  struct epoll_event ready[32];
  int n_ready, at;
  ghee_shm_record want;   /* what the owner waits for; kind 0: nothing. Who comes later is told too */
};

typedef struct held { peer *of; uint32_t segment; uint64_t offset; } held;

static void peer_free(peer *of) {
  for (size_t i = 0; i < of->mappings.count; i++) munmap(of->mappings.items[i].data, of->mappings.items[i].size);
  ghee_array_fini(&of->mappings);
  pthread_mutex_destroy(&of->locked.mutex);
  ghee_free(of);
}

/* Closes the socket; frees unless messages are held. */
static void peer_drop(ghee_receiver *receiver, peer *of) {
  for (size_t i = 0; i < receiver->peers.count; i++)
    if (receiver->peers.items[i] == of) receiver->peers.items[i] = receiver->peers.items[--receiver->peers.count];
  for (int i = receiver->at; i < receiver->n_ready; i++)
    if (receiver->ready[i].data.ptr == of) receiver->ready[i].data.ptr = NULL;
  pthread_mutex_lock(&of->locked.mutex);
  close(of->locked.fd);
  of->locked.fd = -1;
  of->locked.dropped = true;
  bool last = of->locked.held == 0;
  pthread_mutex_unlock(&of->locked.mutex);
  if (last) peer_free(of);
}

static void say(peer *of, const ghee_shm_record *record) {
  pthread_mutex_lock(&of->locked.mutex);
  /* Waits while the socket is full; the sender's thread always reads. A closed one needs no answer. */
  if (of->locked.fd >= 0)
    while (send(of->locked.fd, record, sizeof *record, MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
  pthread_mutex_unlock(&of->locked.mutex);
}

void ghee_shm_release(ghee_message *message) {
  held *hold = message->hold;
  message->hold = NULL;
  if (!hold) return;
  peer *of = hold->of;
  say(of, &(ghee_shm_record){.kind = GHEE_SHM_RELEASE, .segment = hold->segment, .offset = hold->offset});
  ghee_free(hold);
  pthread_mutex_lock(&of->locked.mutex);
  bool last = --of->locked.held == 0 && of->locked.dropped;
  pthread_mutex_unlock(&of->locked.mutex);
  if (last) peer_free(of);
}

static ghee_status listen_at(ghee_receiver *receiver, ghee_error *err) {
  struct sockaddr_un address;
  socklen_t size;
  int folder_fd;
  ghee_status status = ghee_unix_address(receiver->path, &address, &size, &folder_fd, err);
  if (status == GHEE_OK) {
    receiver->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(receiver->path);
    if (receiver->listener < 0 || bind(receiver->listener, (struct sockaddr *)&address, size) != 0 || listen(receiver->listener, 1024) != 0)
      status = ghee_error_set_errno(err, errno, "cannot listen at %s", receiver->path);
  }
  if (folder_fd >= 0) close(folder_fd);
  return status;
}

static bool watch(ghee_receiver *receiver, int fd, void *what) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
  return epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

ghee_status ghee_shm_receiver_open(const ghee_stream_options *options, ghee_receiver **out, const char **address, ghee_error *err) {
  ghee_receiver *receiver = ghee_alloc_zero(1, sizeof *receiver);
  if (!receiver) return ghee_error_no_memory(err, "opening a receiver");
  receiver->options = *options;
  receiver->listener = -1;
  receiver->epoll = epoll_create1(EPOLL_CLOEXEC);
  receiver->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  uint64_t name;
  randombytes_buf(&name, sizeof name);
  receiver->path = ghee_asprintf("%s/" GHEE_STREAM_SOCKET_PREFIX "%08llx", options->folder, (unsigned long long)(name & 0xffffffff));
  ghee_status status = !receiver->path ? ghee_error_no_memory(err, "opening a receiver")
                       : receiver->epoll < 0 || receiver->wake < 0 ? ghee_error_set_errno(err, errno, "cannot open a receiver") : listen_at(receiver, err);
  if (status == GHEE_OK && (!watch(receiver, receiver->listener, &receiver->listener) || !watch(receiver, receiver->wake, &receiver->wake)))
    status = ghee_error_set_errno(err, errno, "cannot open a receiver");
  if (status != GHEE_OK) {
    ghee_shm_receiver_close(receiver);
    return status;
  }
  *out = receiver;
  *address = receiver->path;
  return GHEE_OK;
}

void ghee_shm_receiver_close(ghee_receiver *receiver) {
  if (!receiver) return;
  while (receiver->peers.count > 0) peer_drop(receiver, receiver->peers.items[0]);
  ghee_array_fini(&receiver->peers);
  if (receiver->listener >= 0) {
    close(receiver->listener);
    unlink(receiver->path);
  }
  if (receiver->epoll >= 0) close(receiver->epoll);
  if (receiver->wake >= 0) close(receiver->wake);
  ghee_free(receiver->path);
  ghee_free(receiver);
}

static ghee_status accept_all(ghee_receiver *receiver, ghee_error *err) {
  for (;;) {
    int fd = accept4(receiver->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 && errno == EAGAIN) return GHEE_OK;
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return ghee_error_set_errno(err, errno, "cannot take a sender's connection");
    struct ucred who;
    socklen_t size = sizeof who;
    peer *of = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == geteuid()) of = ghee_alloc_zero(1, sizeof *of);
    if (!of) {
      close(fd); /* a stranger, or no memory: the sender sees the end */
      continue;
    }
    pthread_mutex_init(&of->locked.mutex, NULL);
    of->locked.fd = fd;
    if (!ghee_array_push(&receiver->peers, of) || !watch(receiver, fd, of)) peer_drop(receiver, of);
  }
}

static bool map(peer *of, const ghee_shm_record *record, int fd) {
  struct stat st;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) != 0 || record->size == 0 || (uint64_t)st.st_size < record->size) return false;
  void *data = mmap(NULL, record->size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return false;
  if (ghee_array_push(&of->mappings, ((mapping){.id = record->segment, .data = data, .size = record->size}))) return true;
  munmap(data, record->size);
  return false;
}

static const mapping *mapping_of(const peer *of, uint32_t id) {
  for (size_t i = 0; i < of->mappings.count; i++)
    if (of->mappings.items[i].id == id) return &of->mappings.items[i];
  return NULL;
}

/* A message of what a record points to. false: it points nowhere. */
static bool open_data(peer *of, const ghee_shm_record *record, ghee_message *out) {
  *out = (ghee_message){.what = GHEE_MESSAGE_DATA, .peer = of->name, .head = record->head};
  if (record->segment == 0) return true;
  const mapping *at = mapping_of(of, record->segment);
  held *hold = at && record->size <= at->size && record->offset <= at->size - record->size && record->offset % 64 == 0 ? ghee_alloc(sizeof *hold) : NULL;
  if (!hold) return false;
  *hold = (held){.of = of, .segment = record->segment, .offset = record->offset};
  out->data = at->data + record->offset;
  out->size_bytes = record->size;
  out->hold = hold;
  pthread_mutex_lock(&of->locked.mutex);
  of->locked.held++;
  pthread_mutex_unlock(&of->locked.mutex);
  return true;
}

typedef struct packet { ghee_shm_record record; uint8_t secret[GHEE_KEY_BYTES]; } packet;

/* One packet. Its size; 0 at the end, -1 when there is none. *fd: a descriptor that came along, else -1. */
static ssize_t receive(peer *of, packet *into, int *fd) {
  union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control;
  struct iovec part = {.iov_base = into, .iov_len = sizeof *into};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(of->locked.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  *fd = -1;
  if (n < 0) return errno == EAGAIN || errno == EINTR ? -1 : 0;
  for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at))
    if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(at), sizeof *fd);
  return n;
}

static bool greet(ghee_receiver *receiver, peer *of, const packet *hello, ssize_t n) {
  if (n != sizeof *hello || hello->record.kind != GHEE_SHM_HELLO || sodium_memcmp(hello->secret, receiver->options.key.secret_key, GHEE_KEY_BYTES) != 0) return false;
  of->trusted = true;
  of->name = hello->record.size;
  say(of, &(ghee_shm_record){.kind = GHEE_SHM_WELCOME, .size = receiver->options.window_bytes});
  if (receiver->want.kind != 0) say(of, &receiver->want);
  return true;
}

static bool is_wanted(const ghee_receiver *receiver, const ghee_stream_head *head) {
  const ghee_stream_head *want = &receiver->want.head;
  return head->epoch == want->epoch && head->chunk == want->chunk && head->seq == want->seq;
}

/* Takes one packet of a sender. GHEE_OK: `out` is a message; GHEE_AGAIN: there is none (yet). */
static ghee_status take(ghee_receiver *receiver, peer *of, ghee_message *out) {
  packet got;
  int fd;
  ssize_t n = receive(of, &got, &fd);
  if (n < 0) return GHEE_AGAIN;
  bool good = false, message = false;
  if (!of->trusted) {
    good = greet(receiver, of, &got, n);
  } else if (n == sizeof got.record) {
    if (got.record.kind == GHEE_SHM_SEGMENT && fd >= 0) good = map(of, &got.record, fd);
    if (got.record.kind == GHEE_SHM_DATA) good = message = open_data(of, &got.record, out);
    if (message && is_wanted(receiver, &got.record.head)) receiver->want.kind = 0;
  }
  if (fd >= 0) close(fd);
  if (good) return message ? GHEE_OK : GHEE_AGAIN;
  *out = (ghee_message){.what = GHEE_MESSAGE_GONE, .peer = of->name};
  bool known = of->trusted;
  peer_drop(receiver, of);
  return known ? GHEE_OK : GHEE_AGAIN;
}

ghee_status ghee_shm_pop(ghee_receiver *receiver, int timeout_ms, ghee_message *out, ghee_error *err) {
  for (;;) {
    while (receiver->at < receiver->n_ready) {
      void *what = receiver->ready[receiver->at++].data.ptr;
      if (what == &receiver->listener) {
        GHEE_TRY(accept_all(receiver, err));
      } else if (what == &receiver->wake) {
        uint64_t count;
        if (read(receiver->wake, &count, sizeof count) > 0) return GHEE_AGAIN;
      } else if (what && take(receiver, what, out) == GHEE_OK) {
        return GHEE_OK;
      }
    }
    receiver->at = 0;
    receiver->n_ready = epoll_wait(receiver->epoll, receiver->ready, 32, timeout_ms);
    if (receiver->n_ready < 0 && errno != EINTR) return ghee_error_set_errno(err, errno, "cannot wait for messages");
    if (receiver->n_ready == 0) return GHEE_AGAIN;
    if (receiver->n_ready < 0) receiver->n_ready = 0;
  }
}

ghee_status ghee_shm_ack(ghee_receiver *receiver, uint64_t name, const ghee_stream_head *head, ghee_error *err) {
  for (size_t i = 0; i < receiver->peers.count; i++) {
    peer *of = receiver->peers.items[i];
    if (!of->trusted || of->name != name) continue;
    say(of, &(ghee_shm_record){.kind = GHEE_SHM_ACK, .head = *head});
    return GHEE_OK;
  }
  return ghee_error_set(err, GHEE_CLOSED, "the sender is gone");
}

ghee_status ghee_shm_want(ghee_receiver *receiver, uint32_t epoch, uint32_t chunk, uint32_t seq, ghee_error *err) {
  (void)err;
  receiver->want = (ghee_shm_record){.kind = GHEE_SHM_WANT, .head = {.epoch = epoch, .chunk = chunk, .seq = seq}};
  for (size_t i = 0; i < receiver->peers.count; i++)
    if (receiver->peers.items[i]->trusted) say(receiver->peers.items[i], &receiver->want);
  return GHEE_OK;
}

void ghee_shm_receiver_wake(ghee_receiver *receiver) {
  uint64_t one = 1;
  while (write(receiver->wake, &one, sizeof one) < 0 && errno == EINTR) continue; /* full means that it is awake */
}
