/* SPDX-License-Identifier: Apache-2.0
 * ZeroMQ's sockets as streams want them, their monitors, and the gate that ZAP asks. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "transport/stream/zmq_wire.h"

/* A socket is closed as soon as its connection is over, so it never connects again. (Told so by -1, a socket whose handshake has failed
 * keeps its context from ending now and then.) */
enum { NEVER_MS = 24 * 3600 * 1000 };

/* A host that is gone without a word is noticed by the kernel, which answers for processes that are stopped or slow: idle
 * connections after about IDLE_S + PROBES × PROBE_S, others after UNANSWERED_MS. */
enum { IDLE_S = 30, PROBES = 3, PROBE_S = 10, UNANSWERED_MS = 60000, CONNECT_MS = 30000, MOST_SOCKETS = 8192, BACKLOG = 1024 };

static ghee_status refuse(ghee_error *err, const char *what) {
  return ghee_error_set(err, errno == EMFILE || errno == ENFILE ? GHEE_LIMIT : GHEE_IO, "cannot %s: %s", what, zmq_strerror(errno));
}

ghee_status ghee_zmq_context(void **out, ghee_error *err) {
  if (!zmq_has("curve")) return ghee_error_set(err, GHEE_UNSUPPORTED, "this libzmq has no CURVE: install one that was built with libsodium");
  void *context = zmq_ctx_new();
  if (!context) return refuse(err, "start ZeroMQ");
  zmq_ctx_set(context, ZMQ_MAX_SOCKETS, MOST_SOCKETS);
  *out = context;
  return GHEE_OK;
}

void ghee_zmq_context_close(void *context) {
  while (context && zmq_ctx_term(context) != 0 && errno == EINTR) continue;
}

void ghee_zmq_close(void *socket) {
  int none = 0;
  if (!socket) return;
  zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
  zmq_close(socket);
}

static bool set(void *socket, int option, int value) { return zmq_setsockopt(socket, option, &value, sizeof value) == 0; }

static bool set_key(void *socket, int option, const uint8_t key[GHEE_KEY_BYTES]) { return zmq_setsockopt(socket, option, key, GHEE_KEY_BYTES) == 0; }

static bool set_curve(void *socket, const ghee_stream_key *key, bool server) {
  if (server) return set(socket, ZMQ_CURVE_SERVER, 1) && set_key(socket, ZMQ_CURVE_SECRETKEY, key->secret_key) && zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "ghee", 4) == 0;
  return set_key(socket, ZMQ_CURVE_SERVERKEY, key->public_key) && set_key(socket, ZMQ_CURVE_PUBLICKEY, key->public_key) &&
         set_key(socket, ZMQ_CURVE_SECRETKEY, key->secret_key);
}

ghee_status ghee_zmq_socket(void *context, int type, const ghee_stream_options *options, bool server, void **out, ghee_error *err) {
  void *socket = zmq_socket(context, type);
  if (!socket) return refuse(err, "open a ZeroMQ socket");
  bool good = set(socket, ZMQ_SNDHWM, 0) && set(socket, ZMQ_RCVHWM, 0) && set(socket, ZMQ_RECONNECT_IVL, NEVER_MS) && set(socket, ZMQ_BACKLOG, BACKLOG) &&
              set(socket, ZMQ_CONNECT_TIMEOUT, CONNECT_MS) && set(socket, ZMQ_TCP_KEEPALIVE, 1) && set(socket, ZMQ_TCP_KEEPALIVE_IDLE, IDLE_S) && set(socket, ZMQ_TCP_KEEPALIVE_CNT, PROBES) &&
              set(socket, ZMQ_TCP_KEEPALIVE_INTVL, PROBE_S) && set(socket, ZMQ_TCP_MAXRT, UNANSWERED_MS);
  if (good && !options->plain) good = set_curve(socket, &options->key, server);
  if (!good) {
    ghee_status status = refuse(err, "set up a ZeroMQ socket");
    ghee_zmq_close(socket);
    return status;
  }
  *out = socket;
  return GHEE_OK;
}

ghee_status ghee_zmq_monitor(void *context, void *socket, int events, void **out, ghee_error *err) {
  char name[64];
  snprintf(name, sizeof name, "inproc://monitor-%p", socket);
  void *monitor = zmq_socket(context, ZMQ_PAIR);
  if (!monitor || zmq_socket_monitor(socket, name, events) != 0 || zmq_connect(monitor, name) != 0) {
    ghee_status status = refuse(err, "watch a ZeroMQ socket");
    ghee_zmq_close(monitor);
    return status;
  }
  *out = monitor;
  return GHEE_OK;
}

int ghee_zmq_monitor_next(void *monitor, int *value) {
  uint8_t event[6];
  char address[256];
  if (zmq_recv(monitor, event, sizeof event, ZMQ_DONTWAIT) != sizeof event) return 0;
  (void)zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT);
  uint16_t what;
  uint32_t of;
  memcpy(&what, event, sizeof what);
  memcpy(&of, event + 2, sizeof of);
  *value = (int)of;
  return what;
}

/* ---- the gate ---- */

ghee_status ghee_zmq_gate_open(void *context, const ghee_stream_options *options, void **out, ghee_error *err) {
  *out = NULL;
  if (options->plain) return GHEE_OK;
  void *gate = zmq_socket(context, ZMQ_REP);
  if (!gate || zmq_bind(gate, "inproc://zeromq.zap.01") != 0) {
    ghee_status status = refuse(err, "open the gate for ZeroMQ's clients");
    ghee_zmq_close(gate);
    return status;
  }
  *out = gate;
  return GHEE_OK;
}

typedef struct question { uint8_t id[256], key[GHEE_KEY_BYTES]; int id_size; bool curve; } question;

/* Frames of a request: version, id, domain, address, identity, mechanism, credentials. */
static bool ask(void *gate, question *out) {
  enum { ID = 1, MECHANISM = 5, CREDENTIALS = 6 };
  int more = 1;
  size_t size = sizeof more;
  *out = (question){0};
  bool key = false;
  for (int i = 0; more; i++) {
    uint8_t frame[256];
    int n = zmq_recv(gate, frame, sizeof frame, ZMQ_DONTWAIT);
    if (n < 0) return false;
    if (i == ID && n <= (int)sizeof out->id) memcpy(out->id, frame, (size_t)(out->id_size = n));
    if (i == MECHANISM) out->curve = n == 5 && memcmp(frame, "CURVE", 5) == 0;
    if (i == CREDENTIALS && (key = n == GHEE_KEY_BYTES)) memcpy(out->key, frame, GHEE_KEY_BYTES);
    zmq_getsockopt(gate, ZMQ_RCVMORE, &more, &size);
  }
  out->curve = out->curve && key;
  return true;
}

void ghee_zmq_gate_answer(void *gate, const ghee_stream_key *key) {
  question of;
  while (gate && ask(gate, &of)) {
    bool good = of.curve && sodium_memcmp(of.key, key->public_key, GHEE_KEY_BYTES) == 0;
    zmq_send(gate, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(gate, of.id, (size_t)of.id_size, ZMQ_SNDMORE);
    zmq_send(gate, good ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(gate, good ? "OK" : "another key", good ? 2 : 11, ZMQ_SNDMORE);
    zmq_send(gate, "", 0, ZMQ_SNDMORE);
    zmq_send(gate, "", 0, 0);
  }
}
