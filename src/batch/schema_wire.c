/* SPDX-License-Identifier: Apache-2.0
 * A schema as flat bytes (docs/frame.md, "Schema"): a magic number, then the fields depth-first. Decoding trusts nothing. */
#include <string.h>

#include "base/memory.h"
#include "batch/metadata.h"
#include "batch/schema.h"
#include "batch/schema_copy.h"

enum {
  SCHEMA_MAGIC = 0x31534847,          /* "GHS1" */
  FIELD_LEAST_BYTES = 4 * 4 + 4 + 1   /* of an encoded field: no schema holds more fields than its bytes can */
};

typedef struct decoder {
  ghee_reader reader;
  size_t fields_left; /* that the bytes can hold at most, less those announced so far: bounds what is allocated */
} decoder;

static void encode_field(const struct ArrowSchema *field, ghee_buffer *out) {
  ghee_buffer_put_text(out, field->format);
  ghee_buffer_put_text(out, field->name);
  ghee_buffer_put_bytes(out, field->metadata, (size_t)ghee_metadata_size(field->metadata, SIZE_MAX / 4));
  ghee_buffer_put_u32(out, (uint32_t)field->flags);
  ghee_buffer_put_u32(out, (uint32_t)field->n_children);
  ghee_buffer_put_u8(out, field->dictionary != NULL);
  for (int64_t i = 0; i < field->n_children; i++) encode_field(field->children[i], out);
  if (field->dictionary) encode_field(field->dictionary, out);
}

ghee_status ghee_schema_encode(const ghee_schema *schema, ghee_buffer *out, ghee_error *err) {
  ghee_buffer_put_u32(out, SCHEMA_MAGIC);
  encode_field(ghee_schema_arrow(schema), out);
  return ghee_buffer_check(out, "encoding a schema", err);
}

/** A terminated copy, NULL without memory; turns the reader bad where the text holds a NUL. */
static char *take_text(ghee_reader *reader) {
  size_t size;
  const char *text = ghee_reader_bytes(reader, &size);
  if (text && memchr(text, 0, size)) reader->bad = true;
  return ghee_strndup(text ? text : "", size);
}

static ghee_status malformed(ghee_error *err) {
  return ghee_error_set(err, GHEE_CORRUPT, "the bytes of a schema are malformed or cut short");
}

static ghee_status decode_field(decoder *from, int depth, struct ArrowSchema *out, ghee_error *err);

static ghee_status decode_below(decoder *from, int depth, struct ArrowSchema *field, ghee_error *err) {
  for (int64_t i = 0; i < field->n_children; i++) GHEE_TRY(decode_field(from, depth + 1, field->children[i], err));
  return field->dictionary ? decode_field(from, depth + 1, field->dictionary, err) : GHEE_OK;
}

static ghee_status decode_field(decoder *from, int depth, struct ArrowSchema *out, ghee_error *err) {
  ghee_reader *reader = &from->reader;
  if (depth > GHEE_SCHEMA_DEPTH) return malformed(err);
  char *format = take_text(reader), *name = take_text(reader);
  size_t metadata_bytes;
  const char *metadata = ghee_reader_bytes(reader, &metadata_bytes);
  uint32_t flags = ghee_reader_u32(reader), n_children = ghee_reader_u32(reader);
  uint8_t dictionary = ghee_reader_u8(reader);
  ghee_status status;
  if (reader->bad || dictionary > 1 || n_children > from->fields_left ||
      (metadata_bytes && ghee_metadata_size(metadata, metadata_bytes) != (int64_t)metadata_bytes))
    status = malformed(err);
  else if (!format || !name)
    status = ghee_error_no_memory(err, "decoding a schema");
  else
    status = ghee_arrow_schema_init(format, name, metadata, metadata_bytes, flags, n_children, dictionary, out, err);
  ghee_free(format);
  ghee_free(name);
  from->fields_left -= status == GHEE_OK ? n_children : 0;
  if (status != GHEE_OK) return status;
  status = decode_below(from, depth, out, err);
  if (status != GHEE_OK) out->release(out);
  return status;
}

ghee_status ghee_schema_decode(const void *data, size_t size_bytes, ghee_schema **out, ghee_error *err) {
  decoder from = {.reader = ghee_reader_of(size_bytes ? data : "", size_bytes), .fields_left = size_bytes / FIELD_LEAST_BYTES};
  if (ghee_reader_u32(&from.reader) != SCHEMA_MAGIC) return malformed(err);
  struct ArrowSchema arrow;
  GHEE_TRY(decode_field(&from, 0, &arrow, err));
  if (!ghee_reader_done(&from.reader)) {
    arrow.release(&arrow);
    return malformed(err);
  }
  ghee_status status = ghee_schema_new(&arrow, out, err);
  /* A schema that its writer could not have made. */
  if (status != GHEE_OK && status != GHEE_NO_MEMORY) {
    ghee_error_prefix(err, "the bytes of a schema are corrupt");
    if (err) err->status = GHEE_CORRUPT;
    status = GHEE_CORRUPT;
  }
  return status;
}
