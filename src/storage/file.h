/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: the parts of the file: backend. Paths are absolute and clean; a URI is "file:" and a path. */
#ifndef GHEE_STORAGE_FILE_H
#define GHEE_STORAGE_FILE_H

#include <dirent.h>
#include <sys/stat.h>

#include "storage/object_store.h"
#include "storage/replaced.h"

/** The path of a file: URI or a bare path. out gives: ghee_free. */
ghee_status ghee_file_store_path(const char *uri, char **out, ghee_error *err);
/** The folder that a path lies in. New string, NULL without memory. */
char *ghee_file_store_parent(const char *path);
/** What ghee_object_info.version says of a file. */
enum { GHEE_FILE_VERSION_SIZE = 64 };
void ghee_file_store_version(const struct stat *st, char out[GHEE_FILE_VERSION_SIZE]);
/** The next name of an open folder, without "." and ".."; NULL at the end. `path` is for messages. */
ghee_status ghee_file_store_next(DIR *dir, const char *path, const struct dirent **out, ghee_error *err);
/** As mkdir -p, and every new name is durable. */
ghee_status ghee_file_store_make_folders(const char *path, ghee_error *err);
/** The folder that `uri` means as an output: its path, or where it leads to when it is a symbolic link. out gives: ghee_free. */
ghee_status ghee_file_store_target(const char *uri, char **out, ghee_error *err);
/** What of the folder `from` is not replaced, into the folder `to` under the same names, durable: as a hard link where the file system has them,
 *  else as a copy. A name that `to` has stays as it is. Without `from` there is nothing to do. */
ghee_status ghee_file_store_keep(const char *from, const char *to, const ghee_replaced *replaced, ghee_error *err);

/* The slots of the table that have files of their own; contracts in object_store.h. */
ghee_status ghee_file_store_list(ghee_object_store *store, const char *uri,
                                 ghee_status (*each)(void *user, const ghee_object_info *info, ghee_error *err), void *user, ghee_error *err);
ghee_status ghee_file_store_staging(ghee_object_store *store, const char *uri, const char *job, char **out, ghee_error *err);
ghee_status ghee_file_store_publish(ghee_object_store *store, const char *staging, const char *uri, ghee_publish_mode mode,
                                    const char *const *names, size_t n, ghee_error *err);

#endif
