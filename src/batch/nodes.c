/* SPDX-License-Identifier: Apache-2.0
 * Design notes. A block of nodes holds ArrowArray structs, their lists of children and of buffers. `refs` counts the live arrays
 * made from it, the blocks that lean on it, and its maker while it makes. A view leans on the block whose memory it shows, never
 * on another view, so chains do not grow. A foreign array becomes shareable by moving into a block that has no nodes. */
#include "batch/nodes.h"

#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"

/** In front of each piece of memory that a block owns; keeps the alignment. */
typedef union owned_head {
  union owned_head *next;
  unsigned char align[64];
} owned_head;

struct ghee_nodes {
  atomic_size_t refs;
  ghee_nodes *base;
  void (*release)(void *user);
  void *user;
  struct ArrowArray foreign; /* released last; release NULL: none */
  owned_head *owned;
  struct ArrowArray *next_array;
  struct ArrowArray **next_child;
  const void **next_buffer;
  struct ArrowArray arrays[];
};

static ghee_nodes *nodes_new(size_t arrays, size_t buffers) {
  size_t children_at = sizeof(ghee_nodes) + arrays * sizeof(struct ArrowArray);
  size_t buffers_at = children_at + arrays * sizeof(struct ArrowArray *);
  ghee_nodes *nodes = ghee_alloc_zero(1, buffers_at + buffers * sizeof(void *));
  if (!nodes) return NULL;
  atomic_init(&nodes->refs, 1);
  nodes->next_array = nodes->arrays;
  nodes->next_child = (struct ArrowArray **)(void *)((char *)nodes + children_at);
  nodes->next_buffer = (const void **)(void *)((char *)nodes + buffers_at);
  return nodes;
}

ghee_nodes *ghee_nodes_new(const ghee_field *field) { return nodes_new(field->nodes, field->buffers); }

static void nodes_ref(ghee_nodes *nodes) { atomic_fetch_add_explicit(&nodes->refs, 1, memory_order_relaxed); }

void ghee_nodes_unref(ghee_nodes *nodes) {
  while (nodes && atomic_fetch_sub_explicit(&nodes->refs, 1, memory_order_acq_rel) == 1) {
    ghee_nodes *base = nodes->base;
    if (nodes->release) nodes->release(nodes->user);
    if (nodes->foreign.release) nodes->foreign.release(&nodes->foreign);
    for (owned_head *next, *piece = nodes->owned; piece; piece = next) {
      next = piece->next;
      ghee_free_aligned(piece);
    }
    ghee_free(nodes);
    nodes = base;
  }
}

static void release_array(struct ArrowArray *array) {
  ghee_nodes *nodes = array->private_data;
  for (int64_t i = 0; i < array->n_children; i++)
    if (array->children[i]->release) array->children[i]->release(array->children[i]);
  if (array->dictionary && array->dictionary->release) array->dictionary->release(array->dictionary);
  array->release = NULL;
  ghee_nodes_unref(nodes);
}

void ghee_nodes_shape(ghee_nodes *nodes, const ghee_field *field, struct ArrowArray *array) {
  struct ArrowArray *children = nodes->next_array;
  nodes->next_array += field->n_children + (field->dictionary != NULL);
  *array = (struct ArrowArray){.n_buffers = field->type.n_buffers,
                               .n_children = field->n_children,
                               .buffers = nodes->next_buffer,
                               .children = nodes->next_child,
                               .dictionary = field->dictionary ? children + field->n_children : NULL,
                               .release = release_array,
                               .private_data = nodes};
  nodes->next_buffer += field->type.n_buffers;
  nodes->next_child += field->n_children;
  nodes_ref(nodes);
  for (int64_t i = 0; i < field->n_children; i++) {
    array->children[i] = &children[i];
    ghee_nodes_shape(nodes, &field->children[i], &children[i]);
  }
  if (field->dictionary) ghee_nodes_shape(nodes, field->dictionary, array->dictionary);
}

void *ghee_nodes_alloc(ghee_nodes *nodes, int64_t size) {
  if (size < 0 || (uint64_t)size > SIZE_MAX - sizeof(owned_head)) return NULL;
  owned_head *piece = ghee_alloc_aligned(sizeof *piece + (size_t)size);
  if (!piece) return NULL;
  piece->next = nodes->owned;
  nodes->owned = piece;
  return piece + 1;
}

void ghee_nodes_on_release(ghee_nodes *nodes, void (*release)(void *user), void *user) {
  nodes->release = release;
  nodes->user = user;
}

void ghee_nodes_lean_on(ghee_nodes *nodes, ghee_nodes *base) {
  if (base->base) base = base->base;
  nodes_ref(base);
  nodes->base = base;
}

ghee_nodes *ghee_nodes_of(const ghee_field *field, struct ArrowArray *array) {
  if (array->release == release_array) return array->private_data;
  ghee_nodes *home = nodes_new(0, 0), *nodes = ghee_nodes_new(field);
  if (!home || !nodes) {
    ghee_nodes_unref(home);
    ghee_nodes_unref(nodes);
    return NULL;
  }
  home->foreign = *array;
  ghee_nodes_shape(nodes, field, array);
  ghee_nodes_view(field, &home->foreign, array);
  ghee_nodes_lean_on(nodes, home);
  ghee_nodes_unref(home);
  ghee_nodes_unref(nodes);
  return nodes;
}

void ghee_nodes_view(const ghee_field *field, const struct ArrowArray *from, struct ArrowArray *to) {
  to->length = from->length;
  to->null_count = from->null_count;
  to->offset = from->offset;
  for (int i = 0; i < field->type.n_buffers; i++) to->buffers[i] = from->buffers[i];
  for (int64_t i = 0; i < field->n_children; i++) ghee_nodes_view(&field->children[i], from->children[i], to->children[i]);
  if (field->dictionary) ghee_nodes_view(field->dictionary, from->dictionary, to->dictionary);
}

void ghee_array_cut(struct ArrowArray *array, int64_t offset, int64_t rows) {
  if (array->null_count == array->length)
    array->null_count = rows;
  else if (array->null_count != 0 && rows != array->length)
    array->null_count = -1;
  array->offset += offset;
  array->length = rows;
}
