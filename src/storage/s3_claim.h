/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: who may publish to a place of an S3 store, and how far the publication is: one object beside the output, made by a
 * conditional PUT, which one of many has. */
#ifndef GHEE_STORAGE_S3_CLAIM_H
#define GHEE_STORAGE_S3_CLAIM_H

#include "storage/s3.h"

typedef enum ghee_s3_phase {
  GHEE_S3_CLAIMED,  /* nothing has been changed */
  GHEE_S3_COPYING,  /* the output may be written; the staging folder is whole */
  GHEE_S3_DONE      /* the output is whole; what is left is tidying */
} ghee_s3_phase;

typedef struct ghee_s3_claim {
  ghee_s3_store *store;
  char *key, *staging; /* of the claim; of the staging folder, which stands for the job */
} ghee_s3_claim;

/** For the output at key `target` ("" for the bucket). out gives: ghee_s3_claim_fini. */
ghee_status ghee_s3_claim_init(ghee_s3_claim *out, ghee_s3_store *store, const char *target, const char *staging, ghee_error *err);
void ghee_s3_claim_fini(ghee_s3_claim *claim);
/** Takes it, or finds that it is ours already and in which phase. GHEE_BUSY: another job's · GHEE_UNSUPPORTED: the store does not keep
 *  to If-None-Match, so nothing would stop two jobs (unless the URI says unguarded). */
ghee_status ghee_s3_claim_take(const ghee_s3_claim *claim, ghee_s3_phase *out, ghee_error *err);
/** Ours and its phase · GHEE_BUSY: another job's · GHEE_NOT_FOUND: nobody's. */
ghee_status ghee_s3_claim_look(const ghee_s3_claim *claim, ghee_s3_phase *out, ghee_error *err);
ghee_status ghee_s3_claim_set(const ghee_s3_claim *claim, ghee_s3_phase phase, ghee_error *err);
/** Removes it if it is ours, and if `phase` is not NULL only in that phase. */
ghee_status ghee_s3_claim_release(const ghee_s3_claim *claim, const ghee_s3_phase *phase, ghee_error *err);
/** Whether the store keeps to If-None-Match, and lets us write: with an object at `key`, which is removed. As ghee_s3_claim_take. */
ghee_status ghee_s3_claim_probe(ghee_s3_store *store, const char *key, ghee_error *err);

#endif
