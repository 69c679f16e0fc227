/* SPDX-License-Identifier: Apache-2.0
 * For tests: a table written as ORC, unpacked and in the plainest encodings, since ghee only reads the format. */
#ifndef GHEE_FORMAT_ORC_SAMPLE_H
#define GHEE_FORMAT_ORC_SAMPLE_H

#include "batch/column.h"
#include "format/sample.h"

enum { ORC_PRESENT = 0, ORC_DATA = 1, ORC_LENGTH = 2, ORC_SECONDARY = 5, ORC_BEGIN = 1420070400 };

/* ---- protocol buffers ---- */

static inline void orc_varint(ghee_buffer *out, uint64_t n) {
  for (; n > 127; n >>= 7) ghee_buffer_put_u8(out, (uint8_t)(n | 128));
  ghee_buffer_put_u8(out, (uint8_t)n);
}

static inline void orc_number(ghee_buffer *out, uint64_t id, uint64_t n) {
  orc_varint(out, id << 3);
  orc_varint(out, n);
}

/** Empties `inner`. */
static inline void orc_bytes(ghee_buffer *out, uint64_t id, ghee_buffer *inner) {
  orc_varint(out, id << 3 | 2);
  orc_varint(out, inner->size);
  ghee_buffer_put(out, inner->data, inner->size);
  ghee_buffer_clear(inner);
}

static inline void orc_text(ghee_buffer *out, uint64_t id, const char *text) {
  orc_varint(out, id << 3 | 2);
  orc_varint(out, strlen(text));
  ghee_buffer_put(out, text, strlen(text));
}

/* ---- values ---- */

/** Numbers without runs, in either version of the encoding. */
typedef struct orc_numbers {
  bool second, is_signed;
  uint64_t held[128];
  int n;
} orc_numbers;

static inline void orc_numbers_end(orc_numbers *of, ghee_buffer *out) {
  if (of->n == 0) return;
  ghee_buffer_put_u8(out, of->second ? 1 << 6 | 31 << 1 : (uint8_t)-of->n);
  if (of->second) ghee_buffer_put_u8(out, (uint8_t)(of->n - 1));
  for (int i = 0; i < of->n; i++) {
    if (!of->second) orc_varint(out, of->held[i]);
    for (int shift = 56; of->second && shift >= 0; shift -= 8) ghee_buffer_put_u8(out, (uint8_t)(of->held[i] >> shift));
  }
  of->n = 0;
}

static inline void orc_numbers_put(orc_numbers *of, int64_t number, ghee_buffer *out) {
  of->held[of->n++] = of->is_signed ? (uint64_t)number << 1 ^ (uint64_t)(number >> 63) : (uint64_t)number;
  if (of->n == 128) orc_numbers_end(of, out);
}

static inline void orc_octets(ghee_buffer *out, const uint8_t *bytes, size_t size) {
  for (size_t at = 0; at < size; at += 128) {
    size_t n = size - at < 128 ? size - at : 128;
    ghee_buffer_put_u8(out, (uint8_t)(256 - n));
    ghee_buffer_put(out, bytes + at, n);
  }
}

/** As bits; a bit of each row, or of each that is valid. */
static inline void orc_bits(const ghee_column *column, bool present, ghee_buffer *out) {
  ghee_buffer bytes = {0};
  int n = 0;
  for (int64_t row = 0; row < column->length; row++) {
    bool valid = ghee_column_valid(column, row);
    if (!present && !valid) continue;
    const uint8_t *data = column->array->buffers[1];
    int64_t at = column->start + row;
    bool bit = present ? valid : data[at / 8] >> at % 8 & 1;
    if (n++ % 8 == 0) ghee_buffer_put_u8(&bytes, 0);
    bytes.data[bytes.size - 1] |= (uint8_t)(bit << (8 - n % 8) % 8);
  }
  orc_octets(out, bytes.data, bytes.size);
  ghee_buffer_fini(&bytes);
}

typedef struct orc_column {
  ghee_buffer present, data, length, secondary;
} orc_column;

static inline void orc_column_put(const ghee_column *column, bool second, orc_column *out) {
  orc_numbers data = {second, true, {0}, 0}, length = {second, false, {0}, 0}, secondary = {second, false, {0}, 0};
  int64_t width = column->type.width_bits / 8;
  if (ghee_column_nulls(column) > 0) orc_bits(column, true, &out->present);
  if (column->type.kind == GHEE_BOOL) orc_bits(column, false, &out->data);
  for (int64_t row = 0; row < column->length; row++) {
    if (!ghee_column_valid(column, row)) continue;
    int64_t at = ghee_kind_has_offsets(column->type.kind) ? ghee_column_offset(column, row) : 0;
    switch (column->type.kind) {
      case GHEE_BOOL: break;
      case GHEE_FLOAT32: case GHEE_FLOAT64:
        ghee_buffer_put(&out->data, (const uint8_t *)column->array->buffers[1] + (column->start + row) * width, (size_t)width);
        break;
      case GHEE_STRING: case GHEE_BINARY: {
        int64_t size = ghee_column_offset(column, row + 1) - at;
        ghee_buffer_put(&out->data, (const uint8_t *)column->array->buffers[2] + at, (size_t)size);
        orc_numbers_put(&length, size, &out->length);
        break;
      }
      case GHEE_INT8: {
        uint8_t byte = (uint8_t)ghee_column_number(column, row);
        orc_octets(&out->data, &byte, 1);
        break;
      }
      case GHEE_TIMESTAMP: {
        int64_t number = ghee_column_number(column, row), nanos = number % 1000000000, seconds = number / 1000000000;
        if (nanos < 0 && nanos >= -999000000) nanos += 1000000000; /* seconds before 1970 stay rounded up (ORC-763) */
        else if (nanos < 0) { nanos += 1000000000; seconds--; }
        orc_numbers_put(&data, seconds - ORC_BEGIN, &out->data);
        orc_numbers_put(&secondary, nanos << 3, &out->secondary);
        break;
      }
      default: orc_numbers_put(&data, ghee_column_number(column, row), &out->data);
    }
  }
  orc_numbers_end(&data, &out->data);
  orc_numbers_end(&length, &out->length);
  orc_numbers_end(&secondary, &out->secondary);
}

/* ---- the file ---- */

static inline int orc_kind(const ghee_type *type) {
  switch (type->kind) {
    case GHEE_BOOL: return 0;
    case GHEE_INT8: return 1;
    case GHEE_INT16: return 2;
    case GHEE_INT32: return 3;
    case GHEE_INT64: return 4;
    case GHEE_FLOAT32: return 5;
    case GHEE_FLOAT64: return 6;
    case GHEE_STRING: return 7;
    case GHEE_BINARY: return 8;
    case GHEE_DATE32: return 15;
    case GHEE_TIMESTAMP: return type->unit != 'n' ? -1 : *type->zone ? 18 : 9;
    default: return -1;
  }
}

static inline void orc_stream(ghee_buffer *out, ghee_buffer *bytes, uint64_t kind, uint64_t column, ghee_buffer *footer) {
  ghee_buffer stream = {0};
  if (bytes->size > 0 || kind == ORC_DATA) {
    orc_number(&stream, 1, kind);
    orc_number(&stream, 2, column);
    orc_number(&stream, 3, bytes->size);
    orc_bytes(footer, 1, &stream);
    ghee_buffer_put(out, bytes->data, bytes->size);
  }
  ghee_buffer_fini(&stream);
  ghee_buffer_fini(bytes);
}

/** Rows [at, at + rows) of the table; appends what the file's footer says of the stripe. */
static inline void orc_stripe(const ghee_batch *table, int64_t at, int64_t rows, bool second, ghee_buffer *out, ghee_buffer *info) {
  ghee_buffer footer = {0}, inner = {0};
  size_t start = out->size;
  int64_t columns = ghee_schema_columns(table->schema);
  for (int64_t i = 0; i < columns; i++) {
    ghee_column all = ghee_column_at(table, i), some = ghee_column_of(all.field, all.array, all.start - all.array->offset + at, rows);
    orc_column made = {0};
    orc_column_put(&some, second, &made);
    orc_stream(out, &made.present, ORC_PRESENT, (uint64_t)i + 1, &footer);
    orc_stream(out, &made.data, ORC_DATA, (uint64_t)i + 1, &footer);
    orc_stream(out, &made.length, ORC_LENGTH, (uint64_t)i + 1, &footer);
    orc_stream(out, &made.secondary, ORC_SECONDARY, (uint64_t)i + 1, &footer);
  }
  for (int64_t i = 0; i <= columns; i++) {
    orc_number(&inner, 1, second && i > 0 ? 2 : 0);
    orc_bytes(&footer, 2, &inner);
  }
  orc_number(info, 1, start);
  orc_number(info, 2, 0);
  orc_number(info, 3, out->size - start);
  orc_number(info, 4, footer.size);
  orc_number(info, 5, (uint64_t)rows);
  ghee_buffer_put(out, footer.data, footer.size);
  ghee_buffer_fini(&footer);
  ghee_buffer_fini(&inner);
}

static inline void orc_types(ghee_schema *schema, ghee_buffer *footer) {
  const struct ArrowSchema *arrow = ghee_schema_arrow(schema);
  ghee_buffer type = {0};
  orc_number(&type, 1, 12);
  for (int64_t i = 0; i < arrow->n_children; i++) orc_number(&type, 2, (uint64_t)i + 1);
  for (int64_t i = 0; i < arrow->n_children; i++) orc_text(&type, 3, arrow->children[i]->name);
  orc_bytes(footer, 4, &type);
  for (int64_t i = 0; i < arrow->n_children; i++) {
    ghee_type of;
    SAMPLE_OK(ghee_type_parse(arrow->children[i]->format, &of, err));
    orc_number(&type, 1, (uint64_t)orc_kind(&of));
    orc_bytes(footer, 4, &type);
  }
  ghee_buffer_fini(&type);
}

/** The end of a file: footer, postscript and the length of that. Frees both. */
static inline void orc_end(ghee_buffer *footer, ghee_buffer *postscript, ghee_buffer *out) {
  orc_text(postscript, 8000, "ORC");
  ghee_buffer_put(out, footer->data, footer->size);
  ghee_buffer_put(out, postscript->data, postscript->size);
  ghee_buffer_put_u8(out, (uint8_t)postscript->size);
  ghee_buffer_fini(footer);
  ghee_buffer_fini(postscript);
}

/** Columns of types that ORC has, none inside of another. `table` NULL: no rows. `second`: the second version of the encoding of numbers. */
static inline void orc_sample_write(ghee_schema *schema, const ghee_batch *table, int64_t stripe_rows, bool second, ghee_buffer *out) {
  ghee_buffer footer = {0}, inner = {0};
  int64_t rows = table ? ghee_batch_rows(table) : 0;
  ghee_buffer_put(out, "ORC", 3);
  for (int64_t at = 0; at < rows; at += stripe_rows) {
    orc_stripe(table, at, rows - at < stripe_rows ? rows - at : stripe_rows, second, out, &inner);
    orc_bytes(&footer, 3, &inner);
  }
  orc_types(schema, &footer);
  orc_number(&footer, 6, (uint64_t)rows);
  orc_number(&inner, 1, footer.size);
  orc_number(&inner, 2, 0);
  orc_number(&inner, 4, 0);
  orc_number(&inner, 4, 12);
  orc_end(&footer, &inner, out);
}

#endif
