/* SPDX-License-Identifier: Apache-2.0
 * Checksums by libsodium, and the sink that sums what passes through it. */
#include "manifest/checksum.h"

#include <sodium.h>
#include <string.h>

#include "base/memory.h"
#include "manifest/manifest.h"

enum { DIGEST_SIZE = 32 };
static const char prefix[] = "blake2b:";

struct ghee_checksum {
  crypto_generichash_state state; /* wants more than malloc's alignment */
};

ghee_checksum *ghee_checksum_new(void) {
  ghee_checksum *made = ghee_alloc_aligned(sizeof *made);
  if (!made) return NULL;
  int chosen = sodium_init(); /* the fastest code for this processor; what is there before works too */
  (void)chosen;
  ghee_checksum_start(made);
  return made;
}

void ghee_checksum_free(ghee_checksum *of) { ghee_free_aligned(of); }

void ghee_checksum_start(ghee_checksum *of) { crypto_generichash_init(&of->state, NULL, 0, DIGEST_SIZE); }

void ghee_checksum_add(ghee_checksum *of, const void *data, size_t size_bytes) {
  if (size_bytes > 0) crypto_generichash_update(&of->state, data, size_bytes);
}

void ghee_checksum_text(ghee_checksum *of, char out[GHEE_CHECKSUM_SIZE]) {
  unsigned char digest[DIGEST_SIZE];
  crypto_generichash_final(&of->state, digest, sizeof digest);
  memcpy(out, prefix, sizeof prefix);
  sodium_bin2hex(out + strlen(prefix), 2 * DIGEST_SIZE + 1, digest, sizeof digest);
}

bool ghee_checksum_is(const char *text) {
  return strlen(text) == GHEE_CHECKSUM_SIZE - 1 && strncmp(text, prefix, strlen(prefix)) == 0 &&
         strspn(text + strlen(prefix), "0123456789abcdef") == 2 * DIGEST_SIZE;
}

/* ---- the sink ---- */

typedef struct checksum_sink {
  ghee_sink base;
  ghee_sink *inner;
  ghee_checksum *checksum;
  char text[GHEE_CHECKSUM_SIZE]; /* "" until finish */
} checksum_sink;

static ghee_status sink_write(ghee_sink *sink, const void *data, size_t size_bytes, ghee_error *err) {
  checksum_sink *of = (checksum_sink *)sink;
  GHEE_TRY(of->inner->ops->write(of->inner, data, size_bytes, err));
  ghee_checksum_add(of->checksum, data, size_bytes);
  sink->written_bytes += size_bytes;
  return GHEE_OK;
}

static ghee_status sink_finish(ghee_sink *sink, ghee_error *err) {
  checksum_sink *of = (checksum_sink *)sink;
  GHEE_TRY(of->inner->ops->finish(of->inner, err));
  if (!of->text[0]) ghee_checksum_text(of->checksum, of->text);
  return GHEE_OK;
}

static void sink_close(ghee_sink *sink) {
  checksum_sink *of = (checksum_sink *)sink;
  of->inner->ops->close(of->inner);
  ghee_checksum_free(of->checksum);
  ghee_free(of);
}

ghee_status ghee_checksum_sink(ghee_sink *inner, ghee_sink **out, ghee_error *err) {
  static const struct ghee_sink_ops ops = {.write = sink_write, .finish = sink_finish, .close = sink_close};
  checksum_sink *of = ghee_alloc_zero(1, sizeof *of);
  ghee_checksum *checksum = ghee_checksum_new();
  if (!of || !checksum) {
    ghee_checksum_free(checksum);
    ghee_free(of);
    return ghee_error_no_memory(err, "opening a sink");
  }
  *of = (checksum_sink){.base = {.ops = &ops, .name = inner->name}, .inner = inner, .checksum = checksum};
  *out = &of->base;
  return GHEE_OK;
}

const char *ghee_checksum_sink_text(const ghee_sink *sink) { return ((const checksum_sink *)sink)->text; }
