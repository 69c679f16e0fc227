/* SPDX-License-Identifier: Apache-2.0
 * Byte source and byte sink: what formats read and write through, whatever the storage behind. */
#ifndef GHEE_BASE_IO_H
#define GHEE_BASE_IO_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/** Some bytes of a source, and where they go. */
typedef struct ghee_range {
  uint64_t offset;
  size_t size_bytes;
  void *into;
} ghee_range;

/** An immutable object of known size, read at any place. */
typedef struct ghee_source ghee_source;
struct ghee_source_ops {
  /** Fills `into` with exactly `size_bytes` bytes from `offset`; the caller keeps within `size_bytes` of the source.
   *  GHEE_CORRUPT when the object has become shorter.  Thread: any, several at once.  Blocks: yes. */
  ghee_status (*read)(ghee_source *source, uint64_t offset, size_t size_bytes, void *into, ghee_error *err);
  /** Several reads in one call, side by side where the storage is far away. NULL: one read after the other does as well. */
  ghee_status (*read_many)(ghee_source *source, const ghee_range *ranges, size_t n, ghee_error *err);
  /** A hint that these bytes come soon.  May be NULL.  Blocks: no. */
  void (*will_read)(ghee_source *source, uint64_t offset, size_t size_bytes);
  void (*close)(ghee_source *source);
};
struct ghee_source {
  const struct ghee_source_ops *ops;
  uint64_t size_bytes;
  const char *name; /* for messages; owned by the backend */
};
/** read_many, or read for each range. */
ghee_status ghee_source_read_many(ghee_source *source, const ghee_range *ranges, size_t n, ghee_error *err);

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
