/* SPDX-License-Identifier: Apache-2.0
 * Where the bytes of a file lie: the blocks of HDFS and the hosts of their DataNodes, as the NameNode tells. */
#include <string.h>

#include "base/memory.h"
#include "storage/hdfs.h"

enum { MOST_HOSTS = 32 };

/* DataNodes that share a host are one. */
static size_t hosts_of(json_t *block, const char *hosts[MOST_HOSTS]) {
  json_t *names = json_object_get(block, "hosts");
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(names) && n < MOST_HOSTS; i++) {
    const char *name = json_string_value(json_array_get(names, i));
    bool known = !name;
    for (size_t k = 0; k < n && !known; k++) known = strcmp(hosts[k], name) == 0;
    if (!known) hosts[n++] = name;
  }
  return n;
}

static ghee_status give_blocks(const char *what, json_t *json, ghee_status (*each)(void *user, const ghee_object_block *block, ghee_error *err), void *user,
                               ghee_error *err) {
  json_t *blocks = json_object_get(json_object_get(json, "BlockLocations"), "BlockLocation"), *block;
  if (!json_is_array(blocks)) return ghee_error_set(err, GHEE_CORRUPT, "%s: the NameNode's answer has no list of blocks", what);
  size_t i;
  json_array_foreach(blocks, i, block) {
    const char *hosts[MOST_HOSTS];
    json_t *offset = json_object_get(block, "offset"), *length = json_object_get(block, "length");
    if (!json_is_integer(offset) || !json_is_integer(length)) return ghee_error_set(err, GHEE_CORRUPT, "%s: the NameNode names a block without offset or length", what);
    ghee_object_block given = {.offset = (uint64_t)json_integer_value(offset), .size_bytes = (uint64_t)json_integer_value(length),
                               .hosts = hosts, .n_hosts = hosts_of(block, hosts)};
    GHEE_TRY(each(user, &given, err));
  }
  return GHEE_OK;
}

ghee_status ghee_hdfs_store_blocks(ghee_object_store *base, const char *uri, ghee_status (*each)(void *user, const ghee_object_block *block, ghee_error *err), void *user,
                                   ghee_error *err) {
  static const char *const parameters[] = {"op", "GETFILEBLOCKLOCATIONS", NULL};
  ghee_hdfs_store *store = (ghee_hdfs_store *)base;
  char *what = ghee_asprintf("cannot find the blocks of %s", uri), *path = NULL;
  json_t *json = NULL;
  ghee_status status = what ? ghee_hdfs_path(store, uri, &path, err) : ghee_error_no_memory(err, "finding blocks");
  if (status == GHEE_OK) {
    status = ghee_hdfs_ask(store, what, "GET", path, parameters, &json, err);
    if (status == GHEE_INVALID) status = GHEE_UNSUPPORTED; /* older than Hadoop 2.9 it knows no such question */
  }
  if (status == GHEE_OK) status = give_blocks(what, json, each, user, err);
  json_decref(json);
  ghee_free(path);
  ghee_free(what);
  return status;
}
