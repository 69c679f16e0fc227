/* SPDX-License-Identifier: Apache-2.0
 * Making and copying ArrowSchema structs. A field and the structs of its children are one allocation, so a child may be
 * moved out of it as the C data interface allows. */
#include "batch/schema_copy.h"

#include "ghee/batch.h"

#include <string.h>

#include "base/memory.h"
#include "batch/metadata.h"

typedef struct field_memory {
  struct ArrowSchema *structs; /* of the children, then of the dictionary */
  struct ArrowSchema **children;
  char *text; /* format, name, metadata */
} field_memory;

static void field_memory_free(field_memory *memory) {
  if (!memory) return;
  ghee_free(memory->structs);
  ghee_free(memory->children);
  ghee_free(memory->text);
  ghee_free(memory);
}

static void release_field(struct ArrowSchema *field) {
  for (int64_t i = 0; i < field->n_children; i++)
    if (field->children[i]->release) field->children[i]->release(field->children[i]);
  if (field->dictionary && field->dictionary->release) field->dictionary->release(field->dictionary);
  field_memory_free(field->private_data);
  field->release = NULL;
}

ghee_status ghee_arrow_schema_init(const char *format, const char *name, const char *metadata, size_t metadata_bytes, int64_t flags,
                                   int64_t n_children, bool dictionary, struct ArrowSchema *out, ghee_error *err) {
  if (!name) name = "";
  size_t n = (size_t)n_children, format_bytes = strlen(format) + 1, name_bytes = strlen(name) + 1;
  /* Metadata stands first: readers may load its 32-bit sizes directly. */
  size_t name_at = metadata_bytes + format_bytes;
  field_memory *memory = ghee_alloc_zero(1, sizeof *memory);
  if (memory) {
    memory->text = ghee_alloc(name_at + name_bytes);
    memory->structs = n || dictionary ? ghee_alloc_zero(n + dictionary, sizeof *memory->structs) : NULL;
    memory->children = n ? ghee_alloc(n * sizeof(struct ArrowSchema *)) : NULL;
  }
  if (!memory || !memory->text || ((n || dictionary) && !memory->structs) || (n && !memory->children)) {
    field_memory_free(memory);
    return ghee_error_no_memory(err, "copying a schema");
  }
  if (metadata_bytes) memcpy(memory->text, metadata, metadata_bytes);
  memcpy(memory->text + metadata_bytes, format, format_bytes);
  memcpy(memory->text + name_at, name, name_bytes);
  for (size_t i = 0; i < n; i++) memory->children[i] = &memory->structs[i];
  *out = (struct ArrowSchema){.format = memory->text + metadata_bytes,
                              .name = memory->text + name_at,
                              .metadata = metadata_bytes ? memory->text : NULL,
                              .flags = flags,
                              .n_children = n_children,
                              .children = memory->children,
                              .dictionary = dictionary ? &memory->structs[n] : NULL,
                              .release = release_field,
                              .private_data = memory};
  return GHEE_OK;
}

static ghee_status copy_field(const struct ArrowSchema *field, int depth, struct ArrowSchema *out, ghee_error *err) {
  if (!field || !field->release || !field->format || field->n_children < 0 || depth > GHEE_SCHEMA_DEPTH)
    return ghee_error_set(err, GHEE_CORRUPT, "a field of the schema cannot be copied: it was released, or nests too deep");
  int64_t metadata_bytes = ghee_metadata_size(field->metadata, SIZE_MAX / 4);
  if (metadata_bytes < 0) return ghee_error_set(err, GHEE_CORRUPT, "the metadata of field \"%s\" is malformed", field->name ? field->name : "");
  GHEE_TRY(ghee_arrow_schema_init(field->format, field->name, field->metadata, (size_t)metadata_bytes, field->flags, field->n_children,
                                  field->dictionary != NULL, out, err));
  ghee_status status = GHEE_OK;
  for (int64_t i = 0; status == GHEE_OK && i < field->n_children; i++)
    status = copy_field(field->children[i], depth + 1, out->children[i], err);
  if (status == GHEE_OK && field->dictionary) status = copy_field(field->dictionary, depth + 1, out->dictionary, err);
  if (status != GHEE_OK) out->release(out);
  return status;
}

ghee_status ghee_schema_copy_arrow(const struct ArrowSchema *schema, struct ArrowSchema *out, ghee_error *err) {
  struct ArrowSchema copy;
  GHEE_TRY(copy_field(schema, 0, &copy, err));
  *out = copy;
  return GHEE_OK;
}
