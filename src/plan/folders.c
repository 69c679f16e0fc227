/* SPDX-License-Identifier: Apache-2.0
 * Keys of folders: their names and types from paths, their values into batches. */
#include "plan/folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/assemble.h"
#include "batch/bits.h"
#include "batch/schema_copy.h"
#include "text/moment.h"
#include "text/utf8.h"

static const char null_name[] = "__HIVE_DEFAULT_PARTITION__";

/* ---- paths ---- */

static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "a%2Fb" → "a/b"; what is no escape stands for itself. NULL without memory. */
static char *unescape(const char *text, size_t size) {
  char *out = ghee_alloc(size + 1), *to = out;
  for (size_t i = 0; out && i < size; i++) {
    int high = text[i] == '%' && i + 2 < size ? digit(text[i + 1]) : -1, low = high < 0 ? -1 : digit(text[i + 2]);
    bool escaped = low >= 0 && high + low > 0;
    *to++ = escaped ? (char)(high << 4 | low) : text[i];
    if (escaped) i += 2;
  }
  if (out) *to = 0;
  return out;
}

/* The next folder of a path that is "name=value"; false behind the last. */
static bool next_pair(const char **path, const char **name, size_t *name_size, const char **value, size_t *value_size) {
  for (const char *slash; (slash = strchr(*path, '/')) != NULL;) {
    const char *folder = *path, *equal = memchr(folder, '=', (size_t)(slash - folder));
    *path = slash + 1;
    if (!equal || equal == folder) continue;
    *name = folder;
    *name_size = (size_t)(equal - folder);
    *value = equal + 1;
    *value_size = (size_t)(slash - equal) - 1;
    return true;
  }
  return false;
}

void ghee_folder_keys_fini(ghee_folder_keys *keys) {
  for (size_t i = 0; i < keys->count; i++) ghee_free(keys->items[i].name);
  ghee_array_fini(keys);
}

void ghee_folder_values_fini(ghee_folder_values *values) {
  for (size_t i = 0; i < values->count; i++) ghee_free(values->items[i].text);
  ghee_array_fini(values);
}

/* ---- values ---- */

/* As it is written by who writes such folders: "007" and "+1" are text. */
static bool is_int(const char *text, int64_t *out) {
  char back[24], *end;
  *out = strtoll(text, &end, 10);
  snprintf(back, sizeof back, "%lld", (long long)*out);
  return strcmp(back, text) == 0;
}

static bool is_bool(const char *text, int64_t *out) {
  *out = strcmp(text, "true") == 0;
  return *out || strcmp(text, "false") == 0;
}

static bool is_date(const char *text, int64_t *out) {
  ghee_moment moment;
  if (!ghee_moment_parse(text, &moment) || moment.has_time) return false;
  *out = (int64_t)(moment.ns / GHEE_NS_PER_DAY);
  return true;
}

static bool is_of(ghee_kind kind, const char *text, int64_t *number) {
  switch (kind) {
    case GHEE_BOOL: return is_bool(text, number);
    case GHEE_INT64: return is_int(text, number);
    case GHEE_DATE32: return is_date(text, number);
    default: *number = 0; return true;
  }
}

/* ---- keys ---- */

typedef struct guess { bool any, may_be_bool, may_be_int, may_be_date; } guess;

static ghee_kind kind_of(const guess *of) {
  if (of->any && of->may_be_bool) return GHEE_BOOL;
  if (of->any && of->may_be_int) return GHEE_INT64;
  return of->any && of->may_be_date ? GHEE_DATE32 : GHEE_STRING;
}

static void look_at(guess *of, const char *text) {
  int64_t number;
  if (!text) return;
  if (!of->any) *of = (guess){true, true, true, true};
  of->may_be_bool = of->may_be_bool && is_bool(text, &number);
  of->may_be_int = of->may_be_int && is_int(text, &number);
  of->may_be_date = of->may_be_date && is_date(text, &number);
}

ghee_status ghee_folder_keys_add(const char *path, ghee_folder_keys *out, ghee_error *err) {
  const char *name, *value;
  size_t name_size, value_size;
  while (next_pair(&path, &name, &name_size, &value, &value_size)) {
    ghee_folder_key key = {.name = unescape(name, name_size), .kind = GHEE_STRING};
    if (!key.name || !ghee_array_push(out, key)) {
      ghee_free(key.name);
      return ghee_error_no_memory(err, "reading folders");
    }
    for (size_t i = 0; i + 1 < out->count; i++)
      if (strcmp(out->items[i].name, key.name) == 0) return ghee_error_set(err, GHEE_SCHEMA, "the key %s is twice in the path %s", key.name, path);
  }
  return GHEE_OK;
}

static size_t count_keys(const char *path) {
  const char *name, *value;
  size_t n = 0, name_size, value_size;
  while (next_pair(&path, &name, &name_size, &value, &value_size)) n++;
  return n;
}

static ghee_status guess_kinds(const ghee_plan_listing *listing, ghee_folder_keys *keys, guess *guesses, ghee_error *err) {
  for (size_t i = 0; i < listing->files.count; i++) {
    const char *uri = listing->files.items[i].uri;
    ghee_folder_values values = {0};
    const char *path = uri + listing->prefixes.items[i];
    ghee_status status = count_keys(path) == keys->count ? ghee_folder_values_read(keys, path, &values, err) : GHEE_CORRUPT;
    for (size_t k = 0; k < keys->count && status == GHEE_OK; k++) look_at(&guesses[k], values.items[k].text);
    ghee_folder_values_fini(&values);
    if (status == GHEE_CORRUPT)
      return ghee_error_set(err, GHEE_SCHEMA, "%s does not lie in folders of the same keys as %s: an input has them all or none; read it as a job of its own, or set hive_partitions: false",
                            uri, listing->files.items[0].uri);
    GHEE_TRY(status);
  }
  for (size_t k = 0; k < keys->count; k++) keys->items[k].kind = kind_of(&guesses[k]);
  return GHEE_OK;
}

ghee_status ghee_folder_keys_find(const ghee_plan_listing *listing, ghee_folder_keys *out, ghee_error *err) {
  if (listing->files.count == 0) return GHEE_OK;
  GHEE_TRY(ghee_folder_keys_add(listing->files.items[0].uri + listing->prefixes.items[0], out, err));
  guess *guesses = ghee_alloc_zero(out->count, sizeof *guesses);
  if (!guesses) return ghee_error_no_memory(err, "reading folders");
  ghee_status status = guess_kinds(listing, out, guesses, err);
  ghee_free(guesses);
  return status;
}

ghee_status ghee_folder_keys_between(const ghee_schema *whole, const ghee_schema *files, ghee_folder_keys *out, ghee_error *err) {
  const struct ArrowSchema *arrow = ghee_schema_arrow(whole);
  for (int64_t i = 0; i < arrow->n_children; i++) {
    ghee_type type;
    if (ghee_schema_find(files, arrow->children[i]->name) >= 0) continue;
    GHEE_TRY(ghee_type_parse(arrow->children[i]->format, &type, err));
    ghee_folder_key key = {.name = ghee_strdup(arrow->children[i]->name), .kind = type.kind};
    if (key.name && ghee_array_push(out, key)) continue;
    ghee_free(key.name);
    return ghee_error_no_memory(err, "reading folders");
  }
  return GHEE_OK;
}

void ghee_folder_keys_drop(ghee_folder_keys *keys, const ghee_schema *files) {
  size_t n = 0;
  for (size_t i = 0; i < keys->count; i++) {
    if (ghee_schema_find(files, keys->items[i].name) >= 0) ghee_free(keys->items[i].name);
    else keys->items[n++] = keys->items[i];
  }
  keys->count = n;
}

/* ---- of one file ---- */

ghee_status ghee_folder_values_read(const ghee_folder_keys *keys, const char *path, ghee_folder_values *out, ghee_error *err) {
  const char *name, *text;
  size_t name_size, text_size;
  for (size_t k = 0; k < keys->count; k++) {
    const char *at = path;
    bool found = false;
    while (!found && next_pair(&at, &name, &name_size, &text, &text_size)) {
      char *plain = unescape(name, name_size);
      if (!plain) return ghee_error_no_memory(err, "reading folders");
      found = strcmp(plain, keys->items[k].name) == 0;
      ghee_free(plain);
    }
    if (!found) return ghee_error_set(err, GHEE_CORRUPT, "%s lies in no folder of the key %s", path, keys->items[k].name);
    bool is_null = text_size == strlen(null_name) && memcmp(text, null_name, text_size) == 0;
    ghee_folder_value value = {.text = is_null ? NULL : unescape(text, text_size)};
    if ((!is_null && !value.text) || !ghee_array_push(out, value)) {
      ghee_free(value.text);
      return ghee_error_no_memory(err, "reading folders");
    }
    if (is_null) continue;
    if (!ghee_utf8_valid(value.text, strlen(value.text))) return ghee_error_set(err, GHEE_SCHEMA, "the folder of the key %s in %s is not UTF-8", keys->items[k].name, path);
    if (!is_of(keys->items[k].kind, value.text, &out->items[k].number))
      return ghee_error_set(err, GHEE_CORRUPT, "%s is no value of the key %s", value.text, keys->items[k].name);
  }
  return GHEE_OK;
}

/* ---- columns ---- */

const char *ghee_folder_format(ghee_kind kind) {
  switch (kind) {
    case GHEE_BOOL: return "b";
    case GHEE_INT64: return "l";
    case GHEE_DATE32: return "tdD";
    default: return "u";
  }
}

ghee_status ghee_folder_schema(const ghee_folder_keys *keys, const ghee_schema *files, const char *const *columns, size_t n, ghee_schema **out, ghee_error *err) {
  struct ArrowSchema arrow;
  const struct ArrowSchema *had = ghee_schema_arrow(files);
  ghee_schema *whole = NULL;
  ghee_status status = GHEE_OK;
  GHEE_TRY(ghee_arrow_schema_init("+s", NULL, NULL, 0, 0, had->n_children + (int64_t)keys->count, false, &arrow, err));
  for (int64_t i = 0; i < had->n_children && status == GHEE_OK; i++) status = ghee_schema_copy_arrow(had->children[i], arrow.children[i], err);
  for (size_t k = 0; k < keys->count && status == GHEE_OK; k++)
    status = ghee_arrow_schema_init(ghee_folder_format(keys->items[k].kind), keys->items[k].name, NULL, 0, ARROW_FLAG_NULLABLE, 0, false,
                                    arrow.children[had->n_children + (int64_t)k], err);
  if (status == GHEE_OK) status = ghee_schema_new(&arrow, &whole, err);
  else arrow.release(&arrow);
  GHEE_TRY(status);
  if (n == 0) {
    *out = whole;
    return GHEE_OK;
  }
  status = ghee_schema_project(whole, columns, n, out, err);
  ghee_schema_unref(whole);
  return status;
}

static void fill(ghee_kind kind, const ghee_folder_value *value, int64_t rows, void *data) {
  if (kind == GHEE_BOOL) ghee_bits_fill(data, 0, value->number ? rows : 0);
  for (int64_t i = 0; kind == GHEE_INT64 && i < rows; i++) ((int64_t *)data)[i] = value->number;
  for (int64_t i = 0; kind == GHEE_DATE32 && i < rows; i++) ((int32_t *)data)[i] = (int32_t)value->number;
}

static ghee_status fill_text(const char *text, int64_t rows, struct ArrowArray *array, ghee_error *err) {
  size_t size = text ? strlen(text) : 0;
  if ((int64_t)size * rows > INT32_MAX) return ghee_error_set(err, GHEE_LIMIT, "a column of a folder's name passes 2 GiB: lower batch_size");
  int32_t *offsets = ghee_array_buffer(array, 1, (rows + 1) * 4);
  char *data = ghee_array_buffer(array, 2, (int64_t)size * rows);
  if (!offsets || !data) return ghee_error_no_memory(err, "reading folders");
  for (int64_t i = 0; i <= rows; i++) offsets[i] = (int32_t)((int64_t)size * i);
  for (int64_t i = 0; i < rows && size > 0; i++) memcpy(data + (size_t)i * size, text, size);
  return GHEE_OK;
}

ghee_status ghee_folder_column(ghee_kind kind, const ghee_folder_value *value, int64_t rows, struct ArrowArray *out, ghee_error *err) {
  bool is_text = kind == GHEE_STRING;
  int64_t size = kind == GHEE_BOOL ? ghee_bits_bytes(rows) : kind == GHEE_INT64 ? rows * 8 : rows * 4;
  struct ArrowArray array;
  GHEE_TRY(ghee_array_own(rows, is_text ? 3 : 2, 0, &array, err));
  ghee_status status = GHEE_OK;
  if (!value->text) {
    void *valid = ghee_array_buffer(&array, 0, ghee_bits_bytes(rows));
    array.null_count = rows;
    if (valid) memset(valid, 0, (size_t)ghee_bits_bytes(rows));
    else status = ghee_error_no_memory(err, "reading folders");
  }
  if (status == GHEE_OK && is_text) status = fill_text(value->text, rows, &array, err);
  if (status == GHEE_OK && !is_text) {
    void *data = ghee_array_buffer(&array, 1, size);
    if (data) memset(data, 0, (size_t)size);
    if (data) fill(kind, value, rows, data);
    else status = ghee_error_no_memory(err, "reading folders");
  }
  if (status == GHEE_OK) *out = array;
  else array.release(&array);
  return status;
}

static size_t key_named(const ghee_folder_keys *keys, const char *name) {
  size_t k = 0;
  while (k < keys->count && strcmp(keys->items[k].name, name) != 0) k++;
  return k;
}

ghee_status ghee_folder_add(const ghee_folder_keys *keys, const ghee_folder_values *values, ghee_schema *schema, ghee_batch *batch, ghee_batch *out,
                            ghee_error *err) {
  const struct ArrowSchema *arrow = ghee_schema_arrow(schema);
  struct ArrowArray array;
  int64_t rows = ghee_batch_rows(batch);
  ghee_status status = ghee_array_own(rows, 1, arrow->n_children, &array, err);
  if (status != GHEE_OK) {
    ghee_batch_release(batch);
    return status;
  }
  for (int64_t i = 0; i < arrow->n_children && status == GHEE_OK; i++) {
    const char *name = arrow->children[i]->name;
    size_t k = key_named(keys, name);
    int64_t had = k == keys->count ? ghee_schema_find(batch->schema, name) : -1;
    if (k < keys->count) {
      status = ghee_folder_column(keys->items[k].kind, &values->items[k], rows, array.children[i], err);
    } else if (had >= 0) { /* moved: Arrow lets a child go from its parent so */
      *array.children[i] = *batch->array.children[had];
      batch->array.children[had]->release = NULL;
    } else {
      status = ghee_error_set(err, GHEE_INTERNAL, "column %s is neither in the file nor of its folders", name);
    }
  }
  ghee_batch_release(batch);
  if (status == GHEE_OK) return ghee_batch_new(schema, &array, true, out, err);
  array.release(&array);
  return status;
}
