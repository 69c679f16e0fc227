/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: the parts of the s3: backend. A URI is "s3://BUCKET[;OPTION=VALUE…]/KEY"; keys mean themselves, byte for byte. */
#ifndef GHEE_STORAGE_S3_H
#define GHEE_STORAGE_S3_H

#include <pthread.h>

#include "base/buffer.h"
#include "net/http.h"
#include "net/url.h"
#include "storage/s3_config.h"
#include "storage/object_store.h"

typedef struct ghee_s3_store {
  ghee_object_store base;
  char *head;              /* of the URIs: all before the key, with its slash */
  char *bucket;
  char *options;           /* that `config` was read from */
  ghee_s3_config config;   /* but for its keys */
  ghee_http *http;
  struct {
    pthread_mutex_t mutex;
    char *region;          /* as the servers have corrected it */
    int64_t skew_s;        /* what to add to our clock to have the server's */
    ghee_s3_keys keys;     /* as they were read last */
    unsigned keys_read;    /* how often */
  } locked;
} ghee_s3_store;

/** The key of a URI of this store, without slashes at its end: borrows from `uri`, "" for the bucket. GHEE_INVALID: another store. */
ghee_status ghee_s3_key(const ghee_s3_store *store, const char *uri, char **out, ghee_error *err);
/** The URI of a key. New string, NULL without memory. */
char *ghee_s3_uri(const ghee_s3_store *store, const char *key);

/** One request; zero-initialise, fill in the first block, then start and wait, then fini. All texts are borrowed until then. */
typedef struct ghee_s3_request {
  const char *what;        /* begins the message of a failure: "cannot read s3://b/k" */
  const char *method, *key; /* key "" for the bucket */
  ghee_buffer query;       /* by ghee_url_add_query; owned */
  const char *headers[4];  /* "name: value", names in lower case */
  size_t n_headers;
  const void *body;
  size_t body_bytes;
  void *into;
  size_t into_bytes;
  uint64_t most_body_bytes;

  ghee_http_response response;

  ghee_buffer url, lines;  /* the rest is s3_request.c's */
  const char *sent[12];
  ghee_http_request http;
  ghee_http_call *call;
  bool clock_set, region_set, keys_set;
  unsigned keys_read;      /* which keys signed it */
} ghee_s3_request;

ghee_status ghee_s3_start(ghee_s3_store *store, ghee_s3_request *request, ghee_error *err);
/** GHEE_OK: there is an answer, of any status. A wrong clock, a wrong region and keys that have expired are put right and the request sent again. */
ghee_status ghee_s3_wait(ghee_s3_store *store, ghee_s3_request *request, ghee_error *err);
/** start, wait, and GHEE_OK only for 2xx without an error in the body; else what ghee_s3_refused says. */
ghee_status ghee_s3_do(ghee_s3_store *store, ghee_s3_request *request, ghee_error *err);
/** GHEE_OK for a good answer, else its meaning: GHEE_NOT_FOUND · GHEE_DENIED · GHEE_CHANGED (412) · GHEE_NO_SPACE · GHEE_INVALID · GHEE_UNSUPPORTED · GHEE_IO */
ghee_status ghee_s3_refused(const ghee_s3_store *store, ghee_s3_request *request, ghee_error *err);
/** Ends what runs. Zero-initialised is fine. */
void ghee_s3_request_fini(ghee_s3_request *request);

/** What is known of one object: GHEE_NOT_FOUND. `etag` (its bytes; may be NULL) without quotes. */
enum { GHEE_S3_ETAG_SIZE = 256 };
ghee_status ghee_s3_head(ghee_s3_store *store, const char *key, uint64_t *size_bytes, char *etag, ghee_error *err);
/** Removes the quotes around an entity tag, in place. */
void ghee_s3_bare_etag(char *etag);

/** Keys that begin with `prefix`, in order, in pages of a thousand; hidden ones too. */
typedef struct ghee_s3_object {
  char *key, *etag;
  uint64_t size_bytes;
} ghee_s3_object;
ghee_status ghee_s3_each(ghee_s3_store *store, const char *prefix, ghee_status (*each)(void *user, const ghee_s3_object *object, ghee_error *err), void *user,
                         ghee_error *err);
/** Unfinished uploads of keys that begin with `prefix`: aborts those of them that `doomed` (NULL: all) says. */
ghee_status ghee_s3_abort_uploads(ghee_s3_store *store, const char *prefix, bool (*doomed)(void *user, const char *key, const char *initiated), void *user,
                                  ghee_error *err);

/** Removes all objects and unfinished uploads whose keys begin with `prefix`. */
ghee_status ghee_s3_remove_below(ghee_s3_store *store, const char *prefix, ghee_error *err);
/** Names that are published last: those whose last part begins with '_'. */
bool ghee_s3_is_last(const char *name);

/** A few requests of one kind side by side: next gives a free one (having waited for it and looked at its answer), end waits for all. */
enum { GHEE_S3_CREW = 8 };
typedef struct ghee_s3_crew {
  ghee_s3_store *store;
  struct { ghee_s3_request request; char *key, *source; bool busy; } members[GHEE_S3_CREW];
  size_t at;
} ghee_s3_crew;
ghee_status ghee_s3_crew_remove(ghee_s3_crew *crew, const char *key, ghee_error *err);
ghee_status ghee_s3_crew_copy(ghee_s3_crew *crew, const char *from, const char *to, ghee_error *err);
ghee_status ghee_s3_crew_end(ghee_s3_crew *crew, ghee_error *err);
/** Cancels what runs. */
void ghee_s3_crew_fini(ghee_s3_crew *crew);

/* The slots of the table that have files of their own; contracts in object_store.h. */
ghee_status ghee_s3_store_list(ghee_object_store *store, const char *uri, ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err),
                               void *user, ghee_error *err);
ghee_status ghee_s3_store_read(ghee_object_store *store, const char *uri, const char *version, ghee_source **out, ghee_error *err);
ghee_status ghee_s3_store_write(ghee_object_store *store, const char *uri, ghee_sink **out, ghee_error *err);
ghee_status ghee_s3_store_remove_all(ghee_object_store *store, const char *uri, ghee_error *err);
ghee_status ghee_s3_store_staging(ghee_object_store *store, const char *uri, const char *job, char **out, ghee_error *err);
ghee_status ghee_s3_store_check_output(ghee_object_store *store, const char *uri, ghee_error *err);
ghee_status ghee_s3_store_reserve(ghee_object_store *store, const char *staging, const char *uri, ghee_error *err);
ghee_status ghee_s3_store_release(ghee_object_store *store, const char *staging, const char *uri, ghee_error *err);
ghee_status ghee_s3_store_publish(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode, const char *const *names, size_t n,
                                  ghee_error *err);

#endif
