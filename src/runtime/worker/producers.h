/* SPDX-License-Identifier: Apache-2.0
 * Whose batches a receiver gets: the schema that each sender's frames have, and frames as batches. */
#ifndef GHEE_WORKER_PRODUCERS_H
#define GHEE_WORKER_PRODUCERS_H

#include "base/array.h"
#include "batch/batch.h"
#include "transport/stream/stream.h"

typedef struct ghee_producer { uint64_t peer; ghee_schema *schema; } ghee_producer;

/** Zero-initialised is empty, but for `ops`. Owner: one thread. */
typedef struct ghee_producers {
  const struct ghee_stream_ops *ops;
  GHEE_ARRAY(ghee_producer) known;
} ghee_producers;

void ghee_producers_fini(ghee_producers *producers);
/** Takes in a SCHEMA frame; borrows the message. */
ghee_status ghee_producers_learn(ghee_producers *producers, const ghee_message *message, ghee_error *err);
/** What a sender's frames have: borrowed, NULL where it is not known. */
ghee_schema *ghee_producers_schema(const ghee_producers *producers, uint64_t peer);
/** GONE: its connection has ended. */
void ghee_producers_forget(ghee_producers *producers, uint64_t peer);
/** A BATCH frame as a batch that holds the message; takes the message in any case. A frame without bytes leaves `out` as it is: no rows.
 *  GHEE_CORRUPT: it came before its schema. */
ghee_status ghee_producers_open(const ghee_producers *producers, ghee_message *message, ghee_batch *out, ghee_error *err);

#endif
