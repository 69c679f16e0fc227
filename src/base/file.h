/* SPDX-License-Identifier: Apache-2.0
 * Small files and folders of the local disk, for state and settings. */
#ifndef GHEE_BASE_FILE_H
#define GHEE_BASE_FILE_H

#include "base/buffer.h"

/** Appends the whole file; GHEE_LIMIT when it is larger than `max_bytes`. */
ghee_status ghee_file_read_all(const char *path, size_t max_bytes, ghee_buffer *out, ghee_error *err);
/** Old or new content, never a mixture, also after a power cut: temporary file in the same folder, fsync, rename, fsync of the folder. */
ghee_status ghee_file_write_atomic(const char *path, const void *data, size_t size_bytes, ghee_error *err);
/** Makes what was written to a file, and its name, durable. */
ghee_status ghee_file_sync(const char *path, ghee_error *err);
/** Like mkdir -p. */
ghee_status ghee_dir_make_all(const char *path, unsigned mode, ghee_error *err);
/** Like rm -r; never follows a link; no error if there is nothing. */
ghee_status ghee_dir_remove_all(const char *path, ghee_error *err);
ghee_status ghee_dir_sync(const char *path, ghee_error *err);
/** a + "/" + b, without a double slash. New string, NULL without memory. */
char *ghee_path_join(const char *a, const char *b);

#endif
