/* SPDX-License-Identifier: Apache-2.0
 * Contract: a store of named, immutable objects; file:, s3: and hdfs: are backends of it. Every backend passes
 * tests/conformance/object_store. URIs: "file:/abs", "file:rel", a bare path is file:; "s3://BUCKET[;OPTION=VALUE…]/KEY" (s3_config.h);
 * "hdfs://HOST[:PORT][;OPTION=VALUE…]/PATH" (hdfs.h). */
#ifndef GHEE_STORAGE_OBJECT_STORE_H
#define GHEE_STORAGE_OBJECT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "base/io.h"
#include "base/status.h"
#include "storage/settings.h"

/** One object of a listing. `version` changes when the content does (file: inode, size, mtime in ns; s3: ETag). */
typedef struct ghee_object_info {
  char *uri;
  uint64_t size_bytes;
  char *version;
} ghee_object_info;

typedef struct ghee_object_list {
  ghee_object_info *items;
  size_t count, capacity;
} ghee_object_list;
void ghee_object_list_fini(ghee_object_list *list);

/** Bytes of an object that lie together, and the names of the hosts that have them; none where they are lost. */
typedef struct ghee_object_block { uint64_t offset, size_bytes; const char *const *hosts; size_t n_hosts; } ghee_object_block;

typedef struct ghee_object_store ghee_object_store;

/** How a finished output becomes visible. PARTITIONS: what lies in or below a folder that gets a new file is replaced, the rest stays
 *  (ghee_replaced). */
typedef enum ghee_publish_mode { GHEE_PUBLISH_ERROR, GHEE_PUBLISH_OVERWRITE, GHEE_PUBLISH_APPEND, GHEE_PUBLISH_PARTITIONS } ghee_publish_mode;

struct ghee_object_store_ops {
  const char *scheme;
  /** The settings that a URI of the store may have as ";name=value" behind its authority, NULL at the end; none of them is a secret. NULL: none. */
  const char *const *settings;
  /** A store for `uri` (its endpoint and credentials); shared by all calls below. Blocks: may. */
  ghee_status (*open)(const char *uri, ghee_object_store **out, ghee_error *err);
  void (*close)(ghee_object_store *store);
  /** Objects at or below `uri`, sorted by URI, one callback each; names that begin with '.' or '_' are left out.
   *  A URI that is one object gives that object. GHEE_NOT_FOUND. Memory stays bounded. Blocks: yes. */
  ghee_status (*list)(ghee_object_store *store, const char *uri,
                      ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err), void *user, ghee_error *err);
  /** `version` NULL, or what the object must still be: GHEE_CHANGED, which a read of the source says too when the object is replaced or
   *  removed later and its old bytes are gone. out gives: ops->close. */
  ghee_status (*read)(ghee_object_store *store, const char *uri, const char *version, ghee_source **out, ghee_error *err);
  /** The blocks of an object in their order, one callback each, which borrows them. A hint for planning: they may move at any time.
   *  GHEE_UNSUPPORTED: this server does not tell. NULL: objects of the store have no place. Blocks: yes. */
  ghee_status (*blocks)(ghee_object_store *store, const char *uri, ghee_status (*each)(void *user, const ghee_object_block *block, ghee_error *err), void *user,
                        ghee_error *err);
  /** A new object, visible under its name no earlier than finish. Folders are made. */
  ghee_status (*write)(ghee_object_store *store, const char *uri, ghee_sink **out, ghee_error *err);
  /** No error if it is not there. */
  ghee_status (*remove)(ghee_object_store *store, const char *uri, ghee_error *err);
  /** Everything below `uri`. */
  ghee_status (*remove_all)(ghee_object_store *store, const char *uri, ghee_error *err);
  /** Something is at or below `uri` (hidden names count too). */
  ghee_status (*exists)(ghee_object_store *store, const char *uri, bool *out, ghee_error *err);
  /** Called once before a job starts that will publish to `uri`: can it? Bad credentials and stores on which `publish` could not keep its
   *  promises are refused here, before any work. NULL: every place will do. */
  ghee_status (*check_output)(ghee_object_store *store, const char *uri, ghee_error *err);
  /** Where a job collects its files until it publishes: near `uri`, hidden from readers, the same for the same `job`. out gives. */
  ghee_status (*staging)(ghee_object_store *store, const char *uri, const char *job, char **out, ghee_error *err);
  /** Holds `uri` for the publication of `staging` from before its manifest is made (append keeps what the old one lists) until `publish`
   *  has ended; again for the same staging folder is fine. GHEE_BUSY names who has it. release gives it back if nothing has been published.
   *  NULL: publications of one place are not kept apart. */
  ghee_status (*reserve)(ghee_object_store *store, const char *staging, const char *uri, ghee_error *err);
  ghee_status (*release)(ghee_object_store *store, const char *staging, const char *uri, ghee_error *err);
  /** Makes the files of the staging folder (`names`, relative) the output at `uri`, all or nothing as far as the store can (docs/object_store.md), and
   *  idempotent: called again after a crash at any point it ends in the same state. GHEE_EXISTS under mode error. */
  ghee_status (*publish)(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode,
                         const char *const *names, size_t n, ghee_error *err);
};
struct ghee_object_store {
  const struct ghee_object_store_ops *ops;
};

/** The backend for a URI's scheme; GHEE_UNSUPPORTED lists the schemes that there are. */
ghee_status ghee_object_store_open(const char *uri, ghee_object_store **out, ghee_error *err);
void ghee_object_store_close(ghee_object_store *store);
/** `uri` with the settings in it, "${NAME}" replaced; they go before those that it has. GHEE_INVALID names one that the store does not know.
 *  out gives. */
ghee_status ghee_object_store_configure(const char *uri, const ghee_settings *settings, char **out, ghee_error *err);
/** Called by src/builtin.c for each backend before anything else. */
void ghee_object_store_register(const struct ghee_object_store_ops *ops);
/** `uri` with `name` below it. New string, NULL without memory. */
char *ghee_uri_join(const char *uri, const char *name);
/** Where the path of a URI begins, behind the authority and its settings; behind the scheme where there is no authority. */
const char *ghee_uri_path(const char *uri);
/** A name below a URI that cannot lead out of it: relative, without empty parts, "." and "..". Else GHEE_INVALID. */
ghee_status ghee_uri_check_name(const char *name, ghee_error *err);
/** Canonical form: "file:" + absolute path without . and .. and double slashes; other schemes unchanged. */
ghee_status ghee_uri_canonical(const char *uri, char **out, ghee_error *err);

extern const struct ghee_object_store_ops ghee_object_store_file;
extern const struct ghee_object_store_ops ghee_object_store_s3;
extern const struct ghee_object_store_ops ghee_object_store_hdfs;

#endif
