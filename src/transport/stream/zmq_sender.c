/* SPDX-License-Identifier: Apache-2.0
 * The sending end of zmq. One lock over everything but the sockets; those belong to a thread that sends what has credit and takes what
 * receivers say. Batches leave from the arena without a copy: room for the record lies before each slot.
 *
 * Design notes
 * - A slot is free again once ZeroMQ has let go of it, the credit once the receiver has released the message.
 * - ZeroMQ lets go of slots on its I/O thread and, where a message could not be sent, within our own call: so nothing is sent under
 *   the lock. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "transport/stream/arena.h"
#include "transport/stream/backlog.h"
#include "transport/stream/seat.h"
#include "transport/stream/zmq_wire.h"

enum { MOST_PEERS = 2048, DRAIN_MS = 5000, FAREWELL_MS = 100, LEAD = 128 /* before a slot: aligned, and room for a record */ };

typedef struct slot { ghee_sender *sender; ghee_arena_piece piece; } slot;
typedef struct peer peer;

/* A record that waits to be sent; `of`: it stands at `start`, with a batch behind it; `own`: memory of its own. */
typedef struct item { ghee_backlog_item base; uint32_t kind; slot *of; uint8_t *start; peer *to; bool own; } item;

struct peer {
  peer *next;                     /* of those that are shut */
  uint64_t name;
  void *socket, *monitor;         /* the thread's, once it is in the list */
  bool shut;                      /* the thread closes and frees it */
  ghee_backlog backlog;
  item ready, bye;                /* the first and the last that it is told; bye.kind is 0 until then */
  bool farewell;
};

struct ghee_sender {
  ghee_stream_options options;
  void (*on_event)(void *user, const ghee_sender_event *event);
  void *user, *context;
  int wake;
  pthread_t thread;
  zmq_pollitem_t *items;          /* the thread's: the wake, then socket and monitor of each peer */
  int n_items;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    ghee_arena arena;
    GHEE_ARRAY(peer *) peers;
    uint64_t wants;               /* how many came: a waiting reserve returns */
    uint64_t released;            /* how many came: a closing sender sees that things go on */
    bool awake;                   /* the thread looks at everything before it waits again */
    bool canceled, closing, stopping;
  } locked;
};

/* ---- under the lock ---- */

static void item_free(ghee_sender *sender, item *one) {
  if (one->of) ghee_arena_free(&sender->locked.arena, &one->of->piece);
  ghee_free(one->of);
  ghee_free(one);
}

static void items_free(ghee_sender *sender, ghee_backlog_list *all) {
  while (all->first) item_free(sender, (item *)ghee_backlog_list_pop(all, &all->first));
}

static peer *find(ghee_sender *sender, uint64_t name) {
  for (size_t i = 0; i < sender->locked.peers.count; i++)
    if (sender->locked.peers.items[i]->name == name && !sender->locked.peers.items[i]->shut) return sender->locked.peers.items[i];
  return NULL;
}

static void rouse(ghee_sender *sender) {
  uint64_t one = 1;
  if (sender->locked.awake) return;
  sender->locked.awake = true;
  while (write(sender->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
}

/* Nothing goes to it any more; the thread does the rest. */
static void shut(ghee_sender *sender, peer *of) {
  of->shut = true;
  items_free(sender, &of->backlog.queue);
  pthread_cond_broadcast(&sender->locked.changed);
  rouse(sender);
}

/* Takes everything that may go out of the queues; of a sender that closes, a BYE for each. */
static void collect(ghee_sender *sender, ghee_backlog_list *out) {
  for (size_t i = 0; i < sender->locked.peers.count; i++) {
    peer *of = sender->locked.peers.items[i];
    if (of->shut || !of->backlog.welcomed || of->bye.kind != 0) continue;
    for (ghee_backlog_item **at; (at = ghee_backlog_next(&of->backlog));) ghee_backlog_list_push(out, ghee_backlog_pop(&of->backlog, at));
    if (!sender->locked.closing) continue;
    of->bye = (item){.kind = GHEE_ZMQ_BYE, .to = of};
    ghee_backlog_list_push(out, &of->bye.base);
  }
}

/* ---- the wire; the thread, without the lock ---- */

static void let_go(void *data, void *hint) {
  (void)data;
  slot *of = hint;
  ghee_sender *sender = of->sender;
  pthread_mutex_lock(&sender->locked.mutex);
  ghee_arena_free(&sender->locked.arena, &of->piece);
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
  ghee_free(of);
}

/* Sends a record; a connection that is over takes everything, its end is told by the monitor. */
static void transmit(item *one) {
  ghee_zmq_record record = {.kind = one->kind, .head = one->base.head};
  zmq_msg_t message;
  if (!one->of) {
    zmq_send(one->to->socket, &record, sizeof record, ZMQ_DONTWAIT);
  } else {
    if (zmq_msg_init_data(&message, one->start, sizeof record + one->base.size_bytes, let_go, one->of) != 0) let_go(NULL, one->of);
    else if (zmq_msg_send(&message, one->to->socket, ZMQ_DONTWAIT) < 0) zmq_msg_close(&message);
  }
  if (one->own) ghee_free(one);
}

/* ---- the thread ---- */

static void tell(ghee_sender *sender, int what, const peer *of, const ghee_stream_head *head) {
  ghee_sender_event event = {.what = what, .peer = of->name};
  if (head) event.head = *head;
  sender->on_event(sender->user, &event);
}

static void hear_want(ghee_sender *sender, peer *of, const ghee_stream_head *head) {
  pthread_mutex_lock(&sender->locked.mutex);
  ghee_backlog_want(&of->backlog, head);
  pthread_mutex_unlock(&sender->locked.mutex);
  tell(sender, GHEE_SENDER_WANT, of, head);
  pthread_mutex_lock(&sender->locked.mutex);
  sender->locked.wants++; /* after the user knows of it */
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
}

/* What only changes the credit and the state of a peer. */
static void take(ghee_sender *sender, peer *of, const ghee_zmq_record *record) {
  pthread_mutex_lock(&sender->locked.mutex);
  bool welcome = record->kind == GHEE_ZMQ_WELCOME;
  if (welcome) ghee_backlog_welcome(&of->backlog, record->value);
  if (record->kind == GHEE_ZMQ_RELEASE) {
    ghee_backlog_release(&of->backlog, record->value);
    sender->locked.released++;
  }
  if (record->kind == GHEE_ZMQ_FAREWELL) of->farewell = true;
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
  if (welcome) transmit(&of->ready);
}

static bool is_shut(ghee_sender *sender, const peer *of) {
  pthread_mutex_lock(&sender->locked.mutex);
  bool yes = of->shut;
  pthread_mutex_unlock(&sender->locked.mutex);
  return yes;
}

static void listen_to(ghee_sender *sender, peer *of) {
  ghee_zmq_record record;
  while (zmq_recv(of->socket, &record, sizeof record, ZMQ_DONTWAIT) == sizeof record) {
    if (is_shut(sender, of)) return; /* no events after a disconnect */
    if (record.kind == GHEE_ZMQ_WANT) hear_want(sender, of, &record.head);
    else if (record.kind == GHEE_ZMQ_ACK) tell(sender, GHEE_SENDER_ACK, of, &record.head);
    else take(sender, of, &record);
  }
}

/* The connection is over, or there never was one. */
static void end(ghee_sender *sender, peer *of) {
  pthread_mutex_lock(&sender->locked.mutex);
  bool gone = !of->shut;
  if (gone) shut(sender, of);
  pthread_mutex_unlock(&sender->locked.mutex);
  if (gone) tell(sender, GHEE_SENDER_GONE, of, NULL);
}

/* What a peer has said comes before its end. */
static void hear(ghee_sender *sender, peer *of) {
  int value;
  bool over = false;
  while (ghee_zmq_monitor_next(of->monitor, &value) != 0) over = true;
  listen_to(sender, of);
  if (over) end(sender, of);
}

/* Moves peers that are shut to `out`, and lists what is waited for: the wake, then two of each peer that is left. The lock is held. */
static void prepare(ghee_sender *sender, peer **out) {
  size_t kept = 0;
  sender->n_items = 1;
  for (size_t i = 0; i < sender->locked.peers.count; i++) {
    peer *of = sender->locked.peers.items[i];
    if (of->shut) {
      of->next = *out;
      *out = of;
      continue;
    }
    sender->locked.peers.items[kept++] = of;
    sender->items[sender->n_items++] = (zmq_pollitem_t){.socket = of->socket, .events = ZMQ_POLLIN};
    sender->items[sender->n_items++] = (zmq_pollitem_t){.socket = of->monitor, .events = ZMQ_POLLIN};
  }
  sender->locked.peers.count = kept;
}

static void peers_free(peer *first) {
  for (peer *of; (of = first);) {
    first = of->next;
    ghee_zmq_close(of->socket);
    ghee_zmq_close(of->monitor);
    ghee_free(of);
  }
}

static peer *peer_at(ghee_sender *sender, size_t i) {
  pthread_mutex_lock(&sender->locked.mutex);
  peer *of = sender->locked.peers.items[i];
  pthread_mutex_unlock(&sender->locked.mutex);
  return of;
}

/* Sends, waits, listens. false: the sender closes. */
static bool turn(ghee_sender *sender) {
  ghee_backlog_list out = {.last = &out.first};
  peer *dead = NULL;
  pthread_mutex_lock(&sender->locked.mutex);
  prepare(sender, &dead);
  collect(sender, &out);
  bool busy = out.first != NULL, stopping = sender->locked.stopping;
  sender->locked.awake = busy;
  pthread_mutex_unlock(&sender->locked.mutex);
  while (out.first) transmit((item *)ghee_backlog_list_pop(&out, &out.first));
  peers_free(dead);
  if (stopping) return false;
  zmq_pollitem_t *items = sender->items;
  if (zmq_poll(items, sender->n_items, busy ? 0 : -1) < 0) return errno == EINTR;
  uint64_t count;
  if (items[0].revents && read(sender->wake, &count, sizeof count) < 0) return true;
  for (int i = 1; i < sender->n_items; i += 2)
    if (items[i].revents || items[i + 1].revents) hear(sender, peer_at(sender, (size_t)i / 2)); /* others only append to the list */
  return true;
}

static void *run(void *user) {
  while (turn(user)) continue;
  return NULL;
}

/* ---- messages ---- */

ghee_status ghee_zmq_reserve(ghee_sender *sender, size_t size_bytes, bool force, ghee_slot *out, ghee_error *err) {
  slot *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "reserving room for a message");
  of->sender = sender;
  uint64_t size = LEAD + (uint64_t)size_bytes;
  pthread_mutex_lock(&sender->locked.mutex);
  uint64_t wants = sender->locked.wants;
  while (!force && !sender->locked.canceled && wants == sender->locked.wants && !ghee_arena_fits(&sender->locked.arena, size))
    pthread_cond_wait(&sender->locked.changed, &sender->locked.mutex);
  ghee_status status = GHEE_OK;
  if (sender->locked.canceled) status = GHEE_CANCELED;
  else if (!force && !ghee_arena_fits(&sender->locked.arena, size)) status = GHEE_AGAIN;
  if (status == GHEE_OK) status = ghee_arena_alloc(&sender->locked.arena, size, &of->piece, err);
  pthread_mutex_unlock(&sender->locked.mutex);
  if (status != GHEE_OK) {
    ghee_free(of);
    return status;
  }
  *out = (ghee_slot){.data = of->piece.segment->data + of->piece.offset + LEAD, .size_bytes = size_bytes, .hold = of};
  return GHEE_OK;
}

void ghee_zmq_unreserve(ghee_sender *sender, ghee_slot *out) {
  (void)sender;
  let_go(NULL, out->hold);
  out->hold = NULL;
}

static ghee_candidate look(const void *peer_) {
  const peer *of = peer_;
  return (ghee_candidate){.name = of->name, .credit_bytes = of->shut ? 0 : ghee_backlog_credit_bytes(&of->backlog)};
}

ghee_status ghee_zmq_pick(ghee_sender *sender, uint64_t *name, ghee_error *err) {
  (void)err;
  const peer *best = NULL;
  pthread_mutex_lock(&sender->locked.mutex);
  while (!sender->locked.canceled && !(best = ghee_seat_choose((void *const *)sender->locked.peers.items, sender->locked.peers.count, sender->options.seat, look)))
    pthread_cond_wait(&sender->locked.changed, &sender->locked.mutex);
  if (best) *name = best->name;
  pthread_mutex_unlock(&sender->locked.mutex);
  return best ? GHEE_OK : GHEE_CANCELED;
}

ghee_status ghee_zmq_send(ghee_sender *sender, uint64_t name, const ghee_stream_head *head, ghee_slot *from, size_t size_bytes, ghee_error *err) {
  item *one = ghee_alloc_zero(1, sizeof *one);
  if (!one) {
    if (from) ghee_zmq_unreserve(sender, from);
    return ghee_error_no_memory(err, "sending a message");
  }
  ghee_zmq_record record = {.kind = GHEE_ZMQ_DATA, .head = *head};
  *one = (item){.base = {.head = *head, .size_bytes = from ? size_bytes : 0}, .kind = GHEE_ZMQ_DATA, .own = true};
  if (from) {
    one->of = from->hold;
    one->start = memcpy((uint8_t *)from->data - sizeof record, &record, sizeof record);
    from->hold = NULL;
  }
  pthread_mutex_lock(&sender->locked.mutex);
  peer *of = find(sender, name);
  if (of) {
    one->to = of;
    if (ghee_backlog_push(&of->backlog, &one->base)) rouse(sender);
  } else {
    item_free(sender, one);
    pthread_cond_broadcast(&sender->locked.changed);
  }
  pthread_mutex_unlock(&sender->locked.mutex);
  return of ? GHEE_OK : ghee_error_set(err, GHEE_CLOSED, "the receiver is gone");
}

void ghee_zmq_revoke(ghee_sender *sender, uint64_t token) {
  pthread_mutex_lock(&sender->locked.mutex);
  for (size_t i = 0; i < sender->locked.peers.count; i++) {
    peer *of = sender->locked.peers.items[i];
    ghee_backlog_list revoked = {.last = &revoked.first};
    ghee_backlog_revoke(&of->backlog, token, &revoked);
    items_free(sender, &revoked);
    if (ghee_backlog_next(&of->backlog)) rouse(sender);
  }
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
}

/* ---- connections ---- */

static struct timespec after(int ms) {
  uint64_t end_ns = ghee_clock_ns() + (uint64_t)ms * 1000000;
  return (struct timespec){.tv_sec = (time_t)(end_ns / 1000000000), .tv_nsec = (long)(end_ns % 1000000000)};
}

static ghee_status open_sockets(ghee_sender *sender, peer *of, const char *address, uint64_t self, ghee_error *err) {
  ghee_zmq_record hello = {.kind = GHEE_ZMQ_HELLO, .version = GHEE_ZMQ_VERSION, .value = self};
  GHEE_TRY(ghee_zmq_socket(sender->context, ZMQ_DEALER, &sender->options, false, &of->socket, err));
  GHEE_TRY(ghee_zmq_monitor(sender->context, of->socket, ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED, &of->monitor, err));
  if (zmq_connect(of->socket, address) != 0 || zmq_send(of->socket, &hello, sizeof hello, ZMQ_DONTWAIT) < 0)
    return ghee_error_set(err, GHEE_IO, "cannot connect to %s: %s", address, zmq_strerror(errno));
  return GHEE_OK;
}

ghee_status ghee_zmq_connect(ghee_sender *sender, const char *address, uint64_t self, uint64_t name, ghee_error *err) {
  peer *of = ghee_alloc_zero(1, sizeof *of);
  if (!of) return ghee_error_no_memory(err, "connecting to a receiver");
  of->name = name;
  ghee_backlog_init(&of->backlog);
  of->ready = (item){.kind = GHEE_ZMQ_READY, .to = of};
  ghee_status status = open_sockets(sender, of, address, self, err);
  pthread_mutex_lock(&sender->locked.mutex);
  if (status == GHEE_OK && sender->locked.peers.count == MOST_PEERS)
    status = ghee_error_set(err, GHEE_LIMIT, "cannot connect to %s: a sender has at most %d receivers", address, MOST_PEERS);
  if (status == GHEE_OK && !ghee_array_push(&sender->locked.peers, of)) status = ghee_error_no_memory(err, "connecting to a receiver");
  rouse(sender);
  pthread_mutex_unlock(&sender->locked.mutex);
  if (status != GHEE_OK) peers_free(of);
  return status;
}

void ghee_zmq_disconnect(ghee_sender *sender, uint64_t name) {
  pthread_mutex_lock(&sender->locked.mutex);
  peer *of = find(sender, name);
  if (of) shut(sender, of);
  pthread_mutex_unlock(&sender->locked.mutex);
}

/* ---- life ---- */

void ghee_zmq_sender_cancel(ghee_sender *sender) {
  pthread_mutex_lock(&sender->locked.mutex);
  sender->locked.canceled = true;
  pthread_cond_broadcast(&sender->locked.changed);
  pthread_mutex_unlock(&sender->locked.mutex);
}

static void sender_free(ghee_sender *sender) {
  ghee_zmq_context_close(sender->context); /* lets go of every slot */
  ghee_array_fini(&sender->locked.peers);
  ghee_free(sender->items);
  ghee_arena_fini(&sender->locked.arena);
  if (sender->wake >= 0) close(sender->wake);
  pthread_cond_destroy(&sender->locked.changed);
  pthread_mutex_destroy(&sender->locked.mutex);
  ghee_free(sender);
}

static ghee_status start(ghee_sender *sender, ghee_error *err) {
  GHEE_TRY(ghee_zmq_context(&sender->context, err));
  sender->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (sender->wake < 0) return ghee_error_set_errno(err, errno, "cannot open a sender");
  sender->items = ghee_alloc_zero(1 + 2 * MOST_PEERS, sizeof *sender->items);
  if (!sender->items) return ghee_error_no_memory(err, "opening a sender");
  sender->items[0] = (zmq_pollitem_t){.fd = sender->wake, .events = ZMQ_POLLIN};
  int failure = pthread_create(&sender->thread, NULL, run, sender);
  return failure ? ghee_error_set_errno(err, failure, "cannot start a sender's thread") : GHEE_OK;
}

ghee_status ghee_zmq_sender_open(const ghee_stream_options *options, void (*on_event)(void *, const ghee_sender_event *), void *user,
                                 ghee_sender **out, ghee_error *err) {
  ghee_sender *sender = ghee_alloc_zero(1, sizeof *sender);
  if (!sender) return ghee_error_no_memory(err, "opening a sender");
  sender->options = *options;
  sender->on_event = on_event;
  sender->user = user;
  sender->wake = -1;
  pthread_mutex_init(&sender->locked.mutex, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&sender->locked.changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  ghee_arena_init(&sender->locked.arena, options->arena_bytes, false);
  ghee_status status = start(sender, err);
  if (status != GHEE_OK) {
    sender_free(sender);
    return status;
  }
  *out = sender;
  return GHEE_OK;
}

/* ---- closing; the lock is held ---- */

static bool sent(const ghee_sender *sender) {
  for (size_t i = 0; i < sender->locked.peers.count; i++)
    if (sender->locked.peers.items[i]->backlog.queue.first) return false;
  return true;
}

static bool parted(const ghee_sender *sender) {
  for (size_t i = 0; i < sender->locked.peers.count; i++) {
    const peer *of = sender->locked.peers.items[i];
    if (of->backlog.welcomed && !of->shut && !of->farewell) return false;
  }
  return true;
}

/* Waits until `done`, as long as receivers release something at least every `patience_ms`. */
static void await(ghee_sender *sender, bool (*done)(const ghee_sender *), int patience_ms) {
  struct timespec end = after(patience_ms);
  uint64_t released = sender->locked.released;
  while (!done(sender) && pthread_cond_timedwait(&sender->locked.changed, &sender->locked.mutex, &end) == 0) {
    if (released != sender->locked.released) end = after(patience_ms);
    released = sender->locked.released;
  }
}

void ghee_zmq_sender_close(ghee_sender *sender, bool drain) {
  if (!sender) return;
  pthread_mutex_lock(&sender->locked.mutex);
  if (drain) await(sender, sent, DRAIN_MS);
  sender->locked.closing = true;
  rouse(sender);
  await(sender, parted, drain ? DRAIN_MS : FAREWELL_MS);
  sender->locked.stopping = true;
  for (size_t i = 0; i < sender->locked.peers.count; i++) shut(sender, sender->locked.peers.items[i]);
  rouse(sender);
  pthread_mutex_unlock(&sender->locked.mutex);
  pthread_join(sender->thread, NULL);
  sender_free(sender);
}
