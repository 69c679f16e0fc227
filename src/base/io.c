/* SPDX-License-Identifier: Apache-2.0
 * Sources and sinks over memory. */
#include "base/io.h"

#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"

ghee_status ghee_source_read_many(ghee_source *source, const ghee_range *ranges, size_t n, ghee_error *err) {
  if (source->ops->read_many) return source->ops->read_many(source, ranges, n, err);
  for (size_t i = 0; i < n; i++) GHEE_TRY(source->ops->read(source, ranges[i].offset, ranges[i].size_bytes, ranges[i].into, err));
  return GHEE_OK;
}

typedef struct memory_source { ghee_source base; const uint8_t *data; char *name; } memory_source;
typedef struct buffer_sink { ghee_sink base; ghee_buffer *buffer; char *name; } buffer_sink;

static ghee_status source_read(ghee_source *source, uint64_t offset, size_t size, void *into, ghee_error *err) {
  if (offset > source->size_bytes || size > source->size_bytes - offset)
    return ghee_error_set(err, GHEE_CORRUPT, "%s ends at byte %llu, bytes up to %llu were asked for", source->name,
                          (unsigned long long)source->size_bytes, (unsigned long long)(offset + size));
  if (size) memcpy(into, ((memory_source *)source)->data + offset, size);
  return GHEE_OK;
}

static void source_close(ghee_source *source) {
  ghee_free(((memory_source *)source)->name);
  ghee_free(source);
}

ghee_status ghee_source_of_memory(const void *data, size_t size, const char *name, ghee_source **out, ghee_error *err) {
  static const struct ghee_source_ops ops = {.read = source_read, .close = source_close};
  memory_source *source = ghee_alloc_zero(1, sizeof *source);
  char *copy = ghee_strdup(name);
  if (!source || !copy) {
    ghee_free(source);
    ghee_free(copy);
    return ghee_error_no_memory(err, "opening memory as a source");
  }
  *source = (memory_source){.base = {.ops = &ops, .size_bytes = size, .name = copy}, .data = data, .name = copy};
  *out = &source->base;
  return GHEE_OK;
}

static ghee_status sink_write(ghee_sink *sink, const void *data, size_t size, ghee_error *err) {
  ghee_buffer *buffer = ((buffer_sink *)sink)->buffer;
  ghee_buffer_put(buffer, data, size);
  GHEE_TRY(ghee_buffer_check(buffer, "writing to memory", err));
  sink->written_bytes += size;
  return GHEE_OK;
}

static ghee_status sink_finish(ghee_sink *sink, ghee_error *err) { return ghee_buffer_check(((buffer_sink *)sink)->buffer, "writing to memory", err); }

static void sink_close(ghee_sink *sink) {
  ghee_free(((buffer_sink *)sink)->name);
  ghee_free(sink);
}

ghee_status ghee_sink_to_buffer(ghee_buffer *buffer, const char *name, ghee_sink **out, ghee_error *err) {
  static const struct ghee_sink_ops ops = {.write = sink_write, .finish = sink_finish, .close = sink_close};
  buffer_sink *sink = ghee_alloc_zero(1, sizeof *sink);
  char *copy = ghee_strdup(name);
  if (!sink || !copy) {
    ghee_free(sink);
    ghee_free(copy);
    return ghee_error_no_memory(err, "opening memory as a sink");
  }
  *sink = (buffer_sink){.base = {.ops = &ops, .name = copy}, .buffer = buffer, .name = copy};
  *out = &sink->base;
  return GHEE_OK;
}
