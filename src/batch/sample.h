/* SPDX-License-Identifier: Apache-2.0
 * For tests: tables of any types made from small numbers. */
#ifndef GHEE_BATCH_SAMPLE_H
#define GHEE_BATCH_SAMPLE_H

#include "base/nth_alloc.h"

#include "base/buffer.h"
#include "batch/batch.h"

#define SAMPLE_OK(expr)                                                                  \
  do {                                                                                   \
    ghee_error sample_err_ = {0};                                                        \
    ghee_error *err = &sample_err_;                                                      \
    if ((expr) != GHEE_OK) fail_msg("%s: %s", #expr, err->message);                      \
  } while (0)

/** A column: its Arrow format, its children, and whether some of its values are null. */
typedef struct sample_type {
  const char *name, *format;
  bool nulls;
  const struct sample_type *children;
  int n_children;
  const struct sample_type *dictionary;
} sample_type;

static inline void sample_schema_release(struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
    free(schema->children[i]);
  }
  if (schema->dictionary) {
    if (schema->dictionary->release) schema->dictionary->release(schema->dictionary);
    free(schema->dictionary);
  }
  free(schema->children);
  schema->release = NULL;
}

static inline void sample_schema_fill(const sample_type *type, struct ArrowSchema *out) {
  *out = (struct ArrowSchema){.format = type->format, .name = type->name, .flags = type->nulls ? ARROW_FLAG_NULLABLE : 0,
                              .release = sample_schema_release, .n_children = type->n_children};
  out->children = calloc((size_t)type->n_children + 1, sizeof *out->children);
  for (int i = 0; i < type->n_children; i++) {
    out->children[i] = malloc(sizeof **out->children);
    sample_schema_fill(&type->children[i], out->children[i]);
  }
  if (type->dictionary) {
    out->dictionary = malloc(sizeof *out->dictionary);
    sample_schema_fill(type->dictionary, out->dictionary);
  }
}

static inline ghee_schema *sample_schema(const sample_type *columns, int n_columns) {
  sample_type top = {"", "+s", false, columns, n_columns, NULL};
  struct ArrowSchema arrow;
  sample_schema_fill(&top, &arrow);
  ghee_schema *schema = NULL;
  SAMPLE_OK(ghee_schema_new(&arrow, &schema, err));
  return schema;
}

static inline void sample_array_release(struct ArrowArray *array) {
  for (int64_t i = 0; i < array->n_buffers; i++) free((void *)(uintptr_t)array->buffers[i]);
  for (int64_t i = 0; i < array->n_children; i++) {
    if (array->children[i]->release) array->children[i]->release(array->children[i]);
    free(array->children[i]);
  }
  if (array->dictionary) {
    if (array->dictionary->release) array->dictionary->release(array->dictionary);
    free(array->dictionary);
  }
  free(array->buffers);
  free(array->children);
  array->release = NULL;
}

static inline int64_t sample_number(int64_t row, unsigned seed) {
  return (row * 7919 + seed * 104729) % 100;
}

/* One value of a fixed width, little-endian; numbers small enough for every type. */
static inline void sample_value(const ghee_type *type, int64_t number, uint8_t *out) {
  int width = type->width_bits / 8;
  double real = (double)number / 8;
  float narrow = (float)real;
  int64_t whole = type->kind == GHEE_DATE64 ? number * 86400000 : number;
  int32_t pair[2] = {(int32_t)number, (int32_t)number + 1};
  uint16_t half = (uint16_t)(0x3c00 + number);
  memset(out, type->kind == GHEE_FIXED_BINARY ? (int)('a' + number % 26) : 0, (size_t)width);
  switch (type->kind) {
    case GHEE_FLOAT64: memcpy(out, &real, 8); break;
    case GHEE_FLOAT32: memcpy(out, &narrow, 4); break;
    case GHEE_FLOAT16: memcpy(out, &half, 2); break;
    case GHEE_INTERVAL_DAYS: memcpy(out, pair, 8); break;
    case GHEE_INTERVAL_MONTH_DAY_NANO: memcpy(out, pair, 8); memcpy(out + 8, &whole, 8); break;
    case GHEE_FIXED_BINARY: break;
    default: memcpy(out, &whole, (size_t)(width < 8 ? width : 8));
  }
}

/* Of each string and list; 1 for formats in which the empty string is null. */
static int sample_least;

static inline void *sample_offsets(int64_t rows, bool large, unsigned seed, int64_t *total) {
  int64_t *wide = calloc((size_t)rows + 1, 8);
  int32_t *narrow = calloc((size_t)rows + 1, 4);
  *total = 0;
  for (int64_t i = 0; i < rows; i++) {
    *total += sample_least + sample_number(i, seed) % 4;
    wide[i + 1] = *total;
    narrow[i + 1] = (int32_t)*total;
  }
  free(large ? (void *)narrow : (void *)wide);
  return large ? (void *)wide : (void *)narrow;
}

static inline void *sample_validity(int64_t rows, unsigned seed, int64_t *null_count) {
  uint8_t *bits = calloc((size_t)rows / 8 + 1, 1);
  for (int64_t i = 0; i < rows; i++) {
    bool valid = sample_number(i, seed + 3) % 5 != 0;
    bits[i / 8] |= (uint8_t)(valid << i % 8);
    *null_count += !valid;
  }
  return bits;
}

static inline void sample_array_fill(const sample_type *column, int64_t rows, unsigned seed, struct ArrowArray *out);

static inline void sample_values_fill(const ghee_type *type, int64_t rows, unsigned seed, const void **buffers) {
  int64_t total = 0;
  if (type->kind == GHEE_STRING || type->kind == GHEE_LARGE_STRING || type->kind == GHEE_BINARY || type->kind == GHEE_LARGE_BINARY) {
    buffers[1] = sample_offsets(rows, type->kind == GHEE_LARGE_STRING || type->kind == GHEE_LARGE_BINARY, seed, &total);
    char *text = malloc((size_t)total + 1);
    for (int64_t i = 0; i < total; i++) text[i] = (char)('a' + sample_number(i, seed) % 26);
    buffers[2] = text;
  } else if (type->kind == GHEE_BOOL) {
    uint8_t *bits = calloc((size_t)rows / 8 + 1, 1);
    for (int64_t i = 0; i < rows; i++) bits[i / 8] |= (uint8_t)((sample_number(i, seed) & 1) << i % 8);
    buffers[1] = bits;
  } else if (type->width_bits) {
    uint8_t *values = calloc((size_t)rows + 1, (size_t)type->width_bits / 8);
    for (int64_t i = 0; i < rows; i++) sample_value(type, sample_number(i, seed), values + i * (type->width_bits / 8));
    buffers[1] = values;
  }
}

static inline void sample_array_fill(const sample_type *column, int64_t rows, unsigned seed, struct ArrowArray *out) {
  ghee_type type;
  SAMPLE_OK(ghee_type_parse(column->format, &type, err));
  *out = (struct ArrowArray){.length = rows, .n_buffers = type.n_buffers, .n_children = column->n_children,
                             .release = sample_array_release};
  out->buffers = calloc(4, sizeof *out->buffers);
  out->children = calloc((size_t)column->n_children + 1, sizeof *out->children);
  if (type.kind == GHEE_NULL) out->null_count = rows;
  else if (column->nulls) out->buffers[0] = sample_validity(rows, seed, &out->null_count);
  int64_t inner = rows;
  if (type.kind == GHEE_LIST || type.kind == GHEE_MAP || type.kind == GHEE_LARGE_LIST) {
    out->buffers[1] = sample_offsets(rows, type.kind == GHEE_LARGE_LIST, seed, &inner);
  } else if (type.kind == GHEE_FIXED_LIST) {
    inner = rows * type.fixed_size;
  } else if (column->dictionary) {
    uint8_t *indices = calloc((size_t)rows + 1, (size_t)type.width_bits / 8);
    for (int64_t i = 0; i < rows; i++) indices[i * (type.width_bits / 8)] = (uint8_t)(sample_number(i, seed) % 5);
    out->buffers[1] = indices;
    out->dictionary = malloc(sizeof *out->dictionary);
    sample_array_fill(column->dictionary, 5, seed, out->dictionary);
  } else if (type.kind != GHEE_STRUCT) {
    sample_values_fill(&type, rows, seed, out->buffers);
  }
  for (int i = 0; i < column->n_children; i++) {
    out->children[i] = malloc(sizeof **out->children);
    sample_array_fill(&column->children[i], inner, seed + (unsigned)i + 1, out->children[i]);
  }
}

static inline void sample_batch(ghee_schema *schema, const sample_type *columns, int n_columns, int64_t rows, unsigned seed,
                                ghee_batch *out) {
  sample_type top = {"", "+s", false, columns, n_columns, NULL};
  struct ArrowArray array;
  sample_array_fill(&top, rows, seed, &array);
  SAMPLE_OK(ghee_batch_new(schema, &array, false, out, err));
}

#endif
