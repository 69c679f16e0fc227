/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: the parts of the hdfs: backend, which speaks WebHDFS. A URI is "hdfs://HOST[:PORT][,HOST[:PORT]…][;OPTION=VALUE…]/PATH": the
 * NameNodes with the ports of their HTTP servers (9870; 9871 with tls), and a path that means itself, byte for byte. In their place a nameservice
 * of Hadoop's configuration, the RPC address of one of its NameNodes, or nothing, for fs.defaultFS (hdfs_conf.h).
 *
 *   user         who asks; else HADOOP_USER_NAME, else the login name. Without security HDFS believes it
 *   tls          true: https to NameNodes and DataNodes          ca          PEM file of the authorities; else the system's
 *   block_size   of files that are written, bytes; else the cluster's         replication   likewise
 *   negotiate    true: SPNEGO with the Kerberos ticket that libcurl finds
 * A delegation token is a secret and stands in no URI: GHEE_HDFS_TOKEN. */
#ifndef GHEE_STORAGE_HDFS_H
#define GHEE_STORAGE_HDFS_H

#include <jansson.h>
#include <pthread.h>

#include "base/buffer.h"
#include "net/http.h"
#include "storage/object_store.h"

enum { GHEE_HDFS_NAMENODES = 8, GHEE_HDFS_VERSION_SIZE = 64 };

typedef struct ghee_hdfs_options { char *user, *tls, *ca, *block_size, *replication, *negotiate; } ghee_hdfs_options;

typedef struct ghee_hdfs_store {
  ghee_object_store base;
  char *head;                 /* of the URIs: all before the path */
  char *text;                 /* behind `namenodes` */
  const char *namenodes[GHEE_HDFS_NAMENODES]; /* "host:port" */
  unsigned n_namenodes;
  ghee_hdfs_options options;
  char *token;
  ghee_http *names, *data;    /* clients: to the NameNodes, who are asked again by hdfs_call.c; to the DataNodes, once each */
  struct {
    pthread_mutex_t mutex;
    unsigned active;          /* the NameNode that answered last */
    bool known;               /* one has answered: it is worth waiting for */
    uint64_t random;          /* state of the waits' jitter */
  } locked;
} ghee_hdfs_store;

/** The absolute path of a URI of this store, without double slashes and none at its end. GHEE_INVALID: another cluster, "." or "..". */
ghee_status ghee_hdfs_path(const ghee_hdfs_store *store, const char *uri, char **out, ghee_error *err);
/** The folder of a path, "/" of what lies in the root; the name in it. */
char *ghee_hdfs_parent(const char *path);
const char *ghee_hdfs_name(const char *path);

/** One question to the NameNodes. `what` begins the message of a failure: "cannot read hdfs://…". `parameters`: names and values in turn, ended
 *  by NULL; "op" among them. Tried until a NameNode that is active and out of safe mode has answered, or a minute is over.
 *  out gives: json_decref; NULL where the answer had no body. May be NULL.
 *  GHEE_NOT_FOUND · GHEE_DENIED · GHEE_EXISTS · GHEE_NO_SPACE (quotas) · GHEE_BUSY (safe mode; another writes) · GHEE_INVALID · GHEE_IO.  Blocks: yes. */
ghee_status ghee_hdfs_ask(ghee_hdfs_store *store, const char *what, const char *method, const char *path, const char *const *parameters, json_t **out, ghee_error *err);
/** The DataNode's URL that an OPEN, CREATE or APPEND (`parameters`, without noredirect) is sent to. out gives: ghee_free. */
ghee_status ghee_hdfs_locate(ghee_hdfs_store *store, const char *what, const char *method, const char *path, const char *const *parameters, char **out, ghee_error *err);
/** What a DataNode's answer means: GHEE_OK for 2xx, else as ghee_hdfs_ask. */
ghee_status ghee_hdfs_judge(const char *what, const ghee_http_request *request, const ghee_http_response *response, ghee_error *err);
/** Waits before try number `next` (2 …): a little longer each time, with jitter. */
void ghee_hdfs_pause(ghee_hdfs_store *store, unsigned next);

typedef struct ghee_hdfs_status {
  bool folder;
  uint64_t size_bytes, file_id, modified_ms, block_bytes; /* block_bytes: 0 for folders */
} ghee_hdfs_status;
/** Reads one FileStatus. GHEE_CORRUPT. */
ghee_status ghee_hdfs_status_read(const char *what, json_t *json, ghee_hdfs_status *out, ghee_error *err);
/** GHEE_NOT_FOUND. */
ghee_status ghee_hdfs_stat(ghee_hdfs_store *store, const char *what, const char *path, ghee_hdfs_status *out, ghee_error *err);
/** As GHEE_HDFS_VERSION_SIZE bytes: the file's id, size and time. */
void ghee_hdfs_version(const ghee_hdfs_status *of, char out[GHEE_HDFS_VERSION_SIZE]);

/** Entries of a folder in the order of their names, in pages. Ended early by any status of `each` but GHEE_OK, which is passed on. */
ghee_status ghee_hdfs_each(ghee_hdfs_store *store, const char *what, const char *folder,
                           ghee_status (*each)(void *user, const char *name, const ghee_hdfs_status *status, ghee_error *err), void *user, ghee_error *err);
/** GHEE_OK also where there was nothing. */
ghee_status ghee_hdfs_delete(ghee_hdfs_store *store, const char *what, const char *path, bool recursive, ghee_error *err);
ghee_status ghee_hdfs_make_folders(ghee_hdfs_store *store, const char *what, const char *path, ghee_error *err);
/** GHEE_EXISTS unless `replace`, GHEE_NOT_FOUND. Done once, also where the first answer is lost. */
ghee_status ghee_hdfs_rename(ghee_hdfs_store *store, const char *what, const char *from, const char *to, bool replace, ghee_error *err);
/** A small file that must not be there yet, whole at once: GHEE_EXISTS. */
ghee_status ghee_hdfs_create(ghee_hdfs_store *store, const char *uri, const char *text, ghee_error *err);

/** Gives back what the job of a staging folder has claimed; GHEE_OK for any other path. */
ghee_status ghee_hdfs_release_staging(ghee_hdfs_store *store, const char *path, ghee_error *err);

/* The slots of the table that have files of their own; contracts in object_store.h. */
ghee_status ghee_hdfs_store_list(ghee_object_store *store, const char *uri, ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err),
                                 void *user, ghee_error *err);
ghee_status ghee_hdfs_store_read(ghee_object_store *store, const char *uri, const char *version, ghee_source **out, ghee_error *err);
ghee_status ghee_hdfs_store_blocks(ghee_object_store *store, const char *uri, ghee_status (*each)(void *user, const ghee_object_block *block, ghee_error *err),
                                   void *user, ghee_error *err);
ghee_status ghee_hdfs_store_write(ghee_object_store *store, const char *uri, ghee_sink **out, ghee_error *err);
ghee_status ghee_hdfs_store_staging(ghee_object_store *store, const char *uri, const char *job, char **out, ghee_error *err);
ghee_status ghee_hdfs_store_reserve(ghee_object_store *store, const char *staging, const char *uri, ghee_error *err);
ghee_status ghee_hdfs_store_release(ghee_object_store *store, const char *staging, const char *uri, ghee_error *err);
ghee_status ghee_hdfs_store_publish(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode, const char *const *names, size_t n,
                                    ghee_error *err);

#endif
