/* SPDX-License-Identifier: Apache-2.0
 * User functions in C. A shared object exports, for `run: "libfm.so:preprocess"`,
 *
 *     GHEE_UDF ghee_status preprocess(ghee_udf_context *ctx, const struct ArrowSchema *in_schema,
 *                                     const struct ArrowArray *in, struct ArrowSchema *out_schema,
 *                                     struct ArrowArray *out, ghee_error *err);
 *
 * and, if it needs state of its own, `preprocess_open` and `preprocess_close` beside it (the types below).
 * It needs no library of ghee to link: what it may call comes with the context. */
#ifndef GHEE_UDF_H
#define GHEE_UDF_H

#include <stddef.h>
#include <stdint.h>

#include "ghee/arrow.h"
#include "ghee/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GHEE_UDF GHEE_API
enum { GHEE_UDF_ABI = 1 };

/** What ghee gives a user function. Valid for the life of the worker; fields are read-only but `user`. */
typedef struct ghee_udf_context {
  uint32_t abi;            /* GHEE_UDF_ABI of the caller */
  uint32_t worker;         /* index of this worker in its stage */
  uint32_t workers;        /* how many the stage has */
  const char *stage;       /* its name */
  const char *params_json; /* the stage's `args` of the description as JSON, "{}" if none */
  void *user;              /* the function's own; set it in NAME_open */
  /** Refuses rows of the batch in work (indices into the input batch). Stops the job, or diverts the rows to the
   *  dead-letter output where the description says `on_reject: divert`; those rows are then left out of `out`. */
  ghee_status (*reject)(struct ghee_udf_context *ctx, const int64_t *rows, size_t n, const char *reason);
  /** Memory that lives until the output batch has been passed on; NULL when there is none. 64-byte aligned. */
  void *(*alloc)(struct ghee_udf_context *ctx, size_t size_bytes);
} ghee_udf_context;

/** NAME: one batch in, one batch out. `in` is a struct array, borrowed for the call; `out` and `out_schema` are given
 *  to ghee, which calls their release. Any number of rows may come out. Thread: one call at a time a worker. */
typedef ghee_status (*ghee_udf_call)(ghee_udf_context *ctx, const struct ArrowSchema *in_schema,
                                     const struct ArrowArray *in, struct ArrowSchema *out_schema,
                                     struct ArrowArray *out, ghee_error *err);
/** NAME_open: once a worker, before the first batch. */
typedef ghee_status (*ghee_udf_open)(ghee_udf_context *ctx, ghee_error *err);
/** NAME_close: once a worker, after the last. */
typedef void (*ghee_udf_close)(ghee_udf_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
