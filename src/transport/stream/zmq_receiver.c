/* SPDX-License-Identifier: Apache-2.0
 * The receiving end of zmq: a thread that owns the sockets, answers handshakes, takes everything that comes into a queue (credits bound
 * it), and sends what the owner and whoever releases have to say.
 *
 * Design notes
 * - A connection that ends is known to ZeroMQ's monitor by its descriptor, a message by ZMQ_SRCFD, and descriptors are used again. So a
 *   HELLO is taken only after all ends that the monitor knows of, and its sender counts only once it has answered our WELCOME: it was
 *   alive then, and the next end of that descriptor is its own.
 * - ZeroMQ's I/O thread hands over what it has read before it tells of the end. So the socket is emptied after the end was heard, and
 *   GONE comes last.
 * - A message is handed out in ZeroMQ's memory if the batch lies on 64 bytes there, else in a copy; the arena for copies stays warm. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/copy.h"
#include "transport/stream/arena.h"
#include "transport/stream/zmq_wire.h"

enum { ALIGN = 64, ID_MAX = 255, BURST = 256, FAREWELL_MS = 100, ADDRESS_MAX = 256 };

typedef struct peer {
  uint64_t name, serial;          /* serial: never used again */
  int fd;
  bool ready, ended;
  uint64_t released;              /* bytes that it has not been told of */
  uint8_t id[ID_MAX], id_size;    /* ROUTER's name for it */
} peer;

/* A message in the queue or in the user's hands. */
typedef struct held {
  struct held *next;
  ghee_message message;
  ghee_receiver *receiver;
  uint64_t serial;
  bool copied;
  zmq_msg_t content;              /* unless copied */
  ghee_arena_piece piece;         /* if copied */
} held;

typedef struct note { uint64_t serial; ghee_zmq_record record; } note; /* to be sent */
typedef GHEE_ARRAY(note) notes;

struct ghee_receiver {
  ghee_stream_options options;
  char address[ADDRESS_MAX];
  void *context, *router, *monitor, *gate;
  int wake;
  pthread_t thread;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    GHEE_ARRAY(peer *) peers;     /* changed by the thread alone */
    uint64_t last_serial;
    ghee_zmq_record want;         /* what the owner waits for; kind 0: nothing. Who comes later is told too */
    notes out;
    ghee_arena copies;
    held *first, **last;          /* the queue */
    size_t n_held;                /* in users' hands */
    bool awake;                   /* the thread looks at `out` before it waits again */
    bool woken, stopping, closed;
    ghee_status failure;
  } locked;
};

/* ---- life ---- */

static void receiver_free(ghee_receiver *receiver) {
  ghee_arena_fini(&receiver->locked.copies);
  ghee_array_fini(&receiver->locked.out);
  for (size_t i = 0; i < receiver->locked.peers.count; i++) ghee_free(receiver->locked.peers.items[i]);
  ghee_array_fini(&receiver->locked.peers);
  if (receiver->wake >= 0) close(receiver->wake);
  pthread_cond_destroy(&receiver->locked.changed);
  pthread_mutex_destroy(&receiver->locked.mutex);
  ghee_free(receiver);
}

/* The lock is held. */
static void rouse(ghee_receiver *receiver) {
  uint64_t one = 1;
  if (receiver->locked.awake) return;
  receiver->locked.awake = true;
  while (write(receiver->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void *run(void *user);

static ghee_status open_sockets(ghee_receiver *receiver, ghee_error *err) {
  char name[ADDRESS_MAX];
  size_t size = sizeof receiver->address;
  GHEE_TRY(ghee_zmq_context(&receiver->context, err));
  GHEE_TRY(ghee_zmq_gate_open(receiver->context, &receiver->options, &receiver->gate, err));
  GHEE_TRY(ghee_zmq_socket(receiver->context, ZMQ_ROUTER, &receiver->options, true, &receiver->router, err));
  GHEE_TRY(ghee_zmq_monitor(receiver->context, receiver->router, ZMQ_EVENT_DISCONNECTED, &receiver->monitor, err));
  snprintf(name, sizeof name, "tcp://%s:*", receiver->options.host);
  if (zmq_bind(receiver->router, name) != 0 || zmq_getsockopt(receiver->router, ZMQ_LAST_ENDPOINT, receiver->address, &size) != 0)
    return ghee_error_set(err, GHEE_IO, "cannot listen at %s: %s", name, zmq_strerror(errno));
  receiver->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (receiver->wake < 0) return ghee_error_set_errno(err, errno, "cannot open a receiver");
  int failure = pthread_create(&receiver->thread, NULL, run, receiver);
  return failure ? ghee_error_set_errno(err, failure, "cannot start a receiver's thread") : GHEE_OK;
}

static void close_sockets(ghee_receiver *receiver) {
  int limit = FAREWELL_MS;
  ghee_zmq_close(receiver->monitor);
  ghee_zmq_close(receiver->gate);
  if (receiver->router) {
    zmq_setsockopt(receiver->router, ZMQ_LINGER, &limit, sizeof limit); /* acknowledgements that are on their way out */
    zmq_close(receiver->router);
  }
  ghee_zmq_context_close(receiver->context);
}

ghee_status ghee_zmq_receiver_open(const ghee_stream_options *options, ghee_receiver **out, const char **address, ghee_error *err) {
  ghee_receiver *receiver = ghee_alloc_zero(1, sizeof *receiver);
  if (!receiver) return ghee_error_no_memory(err, "opening a receiver");
  receiver->options = *options;
  receiver->wake = -1;
  receiver->locked.last = &receiver->locked.first;
  pthread_mutex_init(&receiver->locked.mutex, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&receiver->locked.changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  ghee_arena_init(&receiver->locked.copies, options->window_bytes, false);
  ghee_status status = open_sockets(receiver, err);
  if (status != GHEE_OK) {
    close_sockets(receiver);
    receiver_free(receiver);
    return status;
  }
  *out = receiver;
  *address = receiver->address;
  return GHEE_OK;
}

/* ---- messages ---- */

/* Frees a message; `used`: it was in the user's hands. */
static void held_free(held *one, bool used) {
  ghee_receiver *receiver = one->receiver;
  if (!one->copied) zmq_msg_close(&one->content);
  pthread_mutex_lock(&receiver->locked.mutex);
  if (one->copied) ghee_arena_free(&receiver->locked.copies, &one->piece);
  for (size_t i = 0; i < receiver->locked.peers.count; i++) {
    if (receiver->locked.peers.items[i]->serial != one->serial) continue;
    receiver->locked.peers.items[i]->released += one->message.size_bytes;
    rouse(receiver);
  }
  if (used) receiver->locked.n_held--;
  bool last = used && receiver->locked.closed && receiver->locked.n_held == 0;
  pthread_mutex_unlock(&receiver->locked.mutex);
  ghee_free(one);
  if (last) receiver_free(receiver);
}

void ghee_zmq_release(ghee_message *message) {
  held *one = message->hold;
  message->hold = NULL;
  if (one) held_free(one, true);
}

static bool deadline_of(int timeout_ms, struct timespec *out) {
  uint64_t end_ns = ghee_clock_ns() + (uint64_t)timeout_ms * 1000000;
  *out = (struct timespec){.tv_sec = (time_t)(end_ns / 1000000000), .tv_nsec = (long)(end_ns % 1000000000)};
  return timeout_ms > 0;
}

ghee_status ghee_zmq_pop(ghee_receiver *receiver, int timeout_ms, ghee_message *out, ghee_error *err) {
  struct timespec end;
  bool wait = timeout_ms < 0 || deadline_of(timeout_ms, &end);
  ghee_status status = GHEE_OK;
  pthread_mutex_lock(&receiver->locked.mutex);
  while (wait && !receiver->locked.first && !receiver->locked.woken && receiver->locked.failure == GHEE_OK) {
    if (timeout_ms < 0) pthread_cond_wait(&receiver->locked.changed, &receiver->locked.mutex);
    else wait = pthread_cond_timedwait(&receiver->locked.changed, &receiver->locked.mutex, &end) == 0;
  }
  held *one = receiver->locked.failure == GHEE_OK && !receiver->locked.woken ? receiver->locked.first : NULL;
  if (one) {
    receiver->locked.first = one->next;
    if (!one->next) receiver->locked.last = &receiver->locked.first;
    if (one->message.size_bytes > 0) receiver->locked.n_held++;
  } else {
    status = receiver->locked.failure != GHEE_OK ? receiver->locked.failure : GHEE_AGAIN;
    receiver->locked.woken = false;
  }
  pthread_mutex_unlock(&receiver->locked.mutex);
  if (!one) return status == GHEE_AGAIN ? status : ghee_error_no_memory(err, "receiving messages");
  *out = one->message;
  if (one->message.size_bytes > 0) out->hold = one;
  else ghee_free(one);
  return GHEE_OK;
}

void ghee_zmq_receiver_wake(ghee_receiver *receiver) {
  pthread_mutex_lock(&receiver->locked.mutex);
  receiver->locked.woken = true;
  pthread_cond_signal(&receiver->locked.changed);
  pthread_mutex_unlock(&receiver->locked.mutex);
}

static void fail(ghee_receiver *receiver) {
  pthread_mutex_lock(&receiver->locked.mutex);
  receiver->locked.failure = GHEE_NO_MEMORY;
  pthread_cond_signal(&receiver->locked.changed);
  pthread_mutex_unlock(&receiver->locked.mutex);
}

static void enqueue(ghee_receiver *receiver, held *one) {
  const ghee_stream_head *head = &one->message.head, *want = &receiver->locked.want.head;
  one->next = NULL;
  pthread_mutex_lock(&receiver->locked.mutex);
  if (one->message.what == GHEE_MESSAGE_DATA && head->epoch == want->epoch && head->chunk == want->chunk && head->seq == want->seq) receiver->locked.want.kind = 0;
  *receiver->locked.last = one;
  receiver->locked.last = &one->next;
  pthread_cond_signal(&receiver->locked.changed);
  pthread_mutex_unlock(&receiver->locked.mutex);
}

/* ---- what the owner says ---- */

/* The lock is held. The newest of a name: an older one may be dead already. */
static peer *peer_named(ghee_receiver *receiver, uint64_t name) {
  for (size_t i = receiver->locked.peers.count; i-- > 0;)
    if (receiver->locked.peers.items[i]->ready && receiver->locked.peers.items[i]->name == name) return receiver->locked.peers.items[i];
  return NULL;
}

/* The lock is held. */
static bool say(ghee_receiver *receiver, const peer *of, const ghee_zmq_record *record) {
  rouse(receiver);
  return ghee_array_push(&receiver->locked.out, ((note){.serial = of->serial, .record = *record}));
}

ghee_status ghee_zmq_ack(ghee_receiver *receiver, uint64_t name, const ghee_stream_head *head, ghee_error *err) {
  pthread_mutex_lock(&receiver->locked.mutex);
  peer *of = peer_named(receiver, name);
  bool said = of && say(receiver, of, &(ghee_zmq_record){.kind = GHEE_ZMQ_ACK, .head = *head});
  pthread_mutex_unlock(&receiver->locked.mutex);
  if (said) return GHEE_OK;
  return of ? ghee_error_no_memory(err, "acknowledging a message") : ghee_error_set(err, GHEE_CLOSED, "the sender is gone");
}

ghee_status ghee_zmq_want(ghee_receiver *receiver, uint32_t epoch, uint32_t chunk, uint32_t seq, ghee_error *err) {
  ghee_zmq_record record = {.kind = GHEE_ZMQ_WANT, .head = {.epoch = epoch, .chunk = chunk, .seq = seq}};
  bool said = true;
  pthread_mutex_lock(&receiver->locked.mutex);
  receiver->locked.want = record;
  for (size_t i = 0; i < receiver->locked.peers.count && said; i++)
    if (receiver->locked.peers.items[i]->ready) said = say(receiver, receiver->locked.peers.items[i], &record);
  pthread_mutex_unlock(&receiver->locked.mutex);
  return said ? GHEE_OK : ghee_error_no_memory(err, "asking for a message");
}

/* ---- the thread; it alone changes the list of peers, so it reads it without the lock ---- */

static peer *peer_of(ghee_receiver *receiver, zmq_msg_t *id) {
  for (size_t i = 0; i < receiver->locked.peers.count; i++) {
    peer *of = receiver->locked.peers.items[i];
    if (of->id_size == zmq_msg_size(id) && memcmp(of->id, zmq_msg_data(id), of->id_size) == 0) return of;
  }
  return NULL;
}

static void post(ghee_receiver *receiver, const peer *of, const ghee_zmq_record *record) {
  if (zmq_send(receiver->router, of->id, of->id_size, ZMQ_SNDMORE) >= 0) zmq_send(receiver->router, record, sizeof *record, 0);
}

/* Takes a sender out of the list and tells the user, if he knows of it. */
static void let_go(ghee_receiver *receiver, peer *of) {
  held *last = of->ready ? ghee_alloc_zero(1, sizeof *last) : NULL;
  if (of->ready && !last) fail(receiver);
  if (last) *last = (held){.message = {.what = GHEE_MESSAGE_GONE, .peer = of->name}};
  pthread_mutex_lock(&receiver->locked.mutex);
  size_t at = 0;
  while (receiver->locked.peers.items[at] != of) at++;
  memmove(&receiver->locked.peers.items[at], &receiver->locked.peers.items[at + 1], (--receiver->locked.peers.count - at) * sizeof of);
  pthread_mutex_unlock(&receiver->locked.mutex);
  if (last) enqueue(receiver, last);
  ghee_free(of);
}

static void hear_ends(ghee_receiver *receiver) {
  int fd;
  while (ghee_zmq_monitor_next(receiver->monitor, &fd) != 0)
    for (size_t i = 0; i < receiver->locked.peers.count; i++)
      if (receiver->locked.peers.items[i]->fd == fd) receiver->locked.peers.items[i]->ended = true;
}

static void greet(ghee_receiver *receiver, zmq_msg_t *id, zmq_msg_t *content, const ghee_zmq_record *hello) {
  hear_ends(receiver);
  peer *of = hello->version == GHEE_ZMQ_VERSION && zmq_msg_size(id) <= ID_MAX ? ghee_alloc_zero(1, sizeof *of) : NULL;
  if (!of) return;
  *of = (peer){.name = hello->value, .fd = zmq_msg_get(content, ZMQ_SRCFD), .id_size = (uint8_t)zmq_msg_size(id)};
  memcpy(of->id, zmq_msg_data(id), of->id_size);
  pthread_mutex_lock(&receiver->locked.mutex);
  of->serial = ++receiver->locked.last_serial;
  bool kept = ghee_array_push(&receiver->locked.peers, of);
  pthread_mutex_unlock(&receiver->locked.mutex);
  if (kept) post(receiver, of, &(ghee_zmq_record){.kind = GHEE_ZMQ_WELCOME, .value = receiver->options.window_bytes});
  else ghee_free(of);
}

/* Moves the batch to aligned memory, unless it lies well. */
static bool place(ghee_receiver *receiver, held *one, zmq_msg_t *content) {
  const uint8_t *data = (const uint8_t *)zmq_msg_data(content) + sizeof(ghee_zmq_record);
  one->message.data = data;
  zmq_msg_init(&one->content);
  if (((uintptr_t)data & (ALIGN - 1)) == 0) return zmq_msg_move(&one->content, content) == 0;
  pthread_mutex_lock(&receiver->locked.mutex);
  one->copied = ghee_arena_alloc(&receiver->locked.copies, one->message.size_bytes, &one->piece, NULL) == GHEE_OK;
  pthread_mutex_unlock(&receiver->locked.mutex);
  if (!one->copied) return false;
  uint8_t *to = one->piece.segment->data + one->piece.offset;
  ghee_copy_out(to, data, one->message.size_bytes);
  one->message.data = to;
  return true;
}

static void take_data(ghee_receiver *receiver, const peer *of, zmq_msg_t *content, const ghee_zmq_record *record) {
  held *one = ghee_alloc_zero(1, sizeof *one);
  if (!one) {
    fail(receiver);
    return;
  }
  one->receiver = receiver;
  one->serial = of->serial;
  one->message = (ghee_message){.what = GHEE_MESSAGE_DATA, .peer = of->name, .head = record->head, .size_bytes = zmq_msg_size(content) - sizeof *record};
  if (one->message.size_bytes == 0 || place(receiver, one, content)) {
    enqueue(receiver, one);
  } else {
    ghee_free(one);
    fail(receiver);
  }
}

/* The user knows a sender by its name: a new one is the end of the old. */
static void welcome(ghee_receiver *receiver, peer *of) {
  peer *old = peer_named(receiver, of->name);
  if (old && old != of) let_go(receiver, old);
  pthread_mutex_lock(&receiver->locked.mutex);
  of->ready = true;
  bool said = receiver->locked.want.kind == 0 || say(receiver, of, &receiver->locked.want);
  pthread_mutex_unlock(&receiver->locked.mutex);
  if (!said) fail(receiver);
}

static void take(ghee_receiver *receiver, zmq_msg_t *id, zmq_msg_t *content) {
  ghee_zmq_record record;
  if (zmq_msg_size(content) < sizeof record) return;
  memcpy(&record, zmq_msg_data(content), sizeof record);
  peer *of = peer_of(receiver, id);
  if (!of && record.kind == GHEE_ZMQ_HELLO) greet(receiver, id, content, &record);
  if (!of) return;
  if (record.kind == GHEE_ZMQ_READY) welcome(receiver, of);
  if (record.kind == GHEE_ZMQ_DATA && of->ready) take_data(receiver, of, content, &record);
  if (record.kind == GHEE_ZMQ_BYE) {
    post(receiver, of, &(ghee_zmq_record){.kind = GHEE_ZMQ_FAREWELL});
    let_go(receiver, of);
  }
}

/* One message. false: there is none. */
static bool receive(ghee_receiver *receiver) {
  zmq_msg_t id, content;
  zmq_msg_init(&id);
  zmq_msg_init(&content);
  bool got = zmq_msg_recv(&id, receiver->router, ZMQ_DONTWAIT) >= 0;
  if (got && zmq_msg_more(&id) && zmq_msg_recv(&content, receiver->router, ZMQ_DONTWAIT) >= 0) take(receiver, &id, &content);
  while (got && zmq_msg_more(&content) && zmq_msg_recv(&content, receiver->router, ZMQ_DONTWAIT) >= 0) continue;
  zmq_msg_close(&content);
  zmq_msg_close(&id);
  return got;
}

/* Takes what has come. false: there is more. */
static bool receive_all(ghee_receiver *receiver) {
  hear_ends(receiver);
  for (int i = 0; i < BURST; i++) {
    if (receive(receiver)) continue;
    for (size_t k = receiver->locked.peers.count; k-- > 0;)
      if (receiver->locked.peers.items[k]->ended) let_go(receiver, receiver->locked.peers.items[k]);
    return true;
  }
  return false;
}

/* Sends what there is to say. true: the receiver closes. */
static bool say_all(ghee_receiver *receiver) {
  pthread_mutex_lock(&receiver->locked.mutex);
  notes out = receiver->locked.out;
  receiver->locked.out = (notes){0};
  bool stopping = receiver->locked.stopping;
  for (size_t i = 0; i < receiver->locked.peers.count; i++) {
    peer *of = receiver->locked.peers.items[i];
    if (of->released > 0) post(receiver, of, &(ghee_zmq_record){.kind = GHEE_ZMQ_RELEASE, .value = of->released});
    of->released = 0;
  }
  receiver->locked.awake = false;
  pthread_mutex_unlock(&receiver->locked.mutex);
  for (size_t i = 0; i < out.count; i++)
    for (size_t k = 0; k < receiver->locked.peers.count; k++)
      if (receiver->locked.peers.items[k]->serial == out.items[i].serial) post(receiver, receiver->locked.peers.items[k], &out.items[i].record);
  ghee_array_fini(&out);
  return stopping;
}

static void *run(void *user) {
  ghee_receiver *receiver = user;
  zmq_pollitem_t items[] = {{.fd = receiver->wake, .events = ZMQ_POLLIN}, {.socket = receiver->router, .events = ZMQ_POLLIN},
                            {.socket = receiver->monitor, .events = ZMQ_POLLIN}, {.socket = receiver->gate, .events = ZMQ_POLLIN}};
  bool empty = true;
  while (!say_all(receiver)) {
    uint64_t count;
    if (zmq_poll(items, receiver->gate ? 4 : 3, empty ? -1 : 0) < 0 && errno != EINTR) break;
    if (items[0].revents && read(receiver->wake, &count, sizeof count) < 0) continue;
    ghee_zmq_gate_answer(receiver->gate, &receiver->options.key);
    empty = receive_all(receiver);
  }
  return NULL;
}

void ghee_zmq_receiver_close(ghee_receiver *receiver) {
  if (!receiver) return;
  pthread_mutex_lock(&receiver->locked.mutex);
  receiver->locked.stopping = true;
  rouse(receiver);
  pthread_mutex_unlock(&receiver->locked.mutex);
  pthread_join(receiver->thread, NULL);
  close_sockets(receiver);
  for (held *one; (one = receiver->locked.first);) {
    receiver->locked.first = one->next;
    if (one->message.size_bytes > 0) held_free(one, false);
    else ghee_free(one);
  }
  pthread_mutex_lock(&receiver->locked.mutex);
  receiver->locked.closed = true;
  bool last = receiver->locked.n_held == 0;
  pthread_mutex_unlock(&receiver->locked.mutex);
  if (last) receiver_free(receiver);
}
