/* SPDX-License-Identifier: Apache-2.0
 * Byte source and byte sink: what formats read and write through, whatever the storage behind. */
#ifndef GHEE_BASE_IO_H
#define GHEE_BASE_IO_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/** An immutable object of known size, read at any place. */
typedef struct ghee_source ghee_source;
struct ghee_source_ops {
  /** Fills `into` with exactly `size_bytes` bytes from `offset`; the caller keeps within `size_bytes` of the source.
   *  GHEE_CORRUPT when the object has become shorter.  Thread: any, several at once.  Blocks: yes. */
  ghee_status (*read)(ghee_source *source, uint64_t offset, size_t size_bytes, void *into, ghee_error *err);
  /** A hint that these bytes come soon.  May be NULL.  Blocks: no. */
  void (*will_read)(ghee_source *source, uint64_t offset, size_t size_bytes);
  void (*close)(ghee_source *source);
};
struct ghee_source {
  const struct ghee_source_ops *ops;
  uint64_t size_bytes;
  const char *name; /* for messages; owned by the backend */
};

/** Bytes to be written once, in order. */
typedef struct ghee_sink ghee_sink;
struct ghee_sink_ops {
  /** Appends.  Thread: owner.  Blocks: yes. */
  ghee_status (*write)(ghee_sink *sink, const void *data, size_t size_bytes, ghee_error *err);
  /** Everything written is durable (fsync, or the upload is whole). Nothing may be written after it. */
  ghee_status (*finish)(ghee_sink *sink, ghee_error *err);
  /** Frees. Without a finish before it, what was written is thrown away where the storage can do so. */
  void (*close)(ghee_sink *sink);
};
struct ghee_sink {
  const struct ghee_sink_ops *ops;
  uint64_t written_bytes;
  const char *name;
};

/** A source over memory that the caller keeps alive; a sink into a ghee_buffer. For tests and small objects. */
struct ghee_buffer;
ghee_status ghee_source_of_memory(const void *data, size_t size_bytes, const char *name, ghee_source **out, ghee_error *err);
ghee_status ghee_sink_to_buffer(struct ghee_buffer *buffer, const char *name, ghee_sink **out, ghee_error *err);

#endif
