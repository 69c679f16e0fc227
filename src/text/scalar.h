/* SPDX-License-Identifier: Apache-2.0
 * What a plain scalar means (YAML 1.2 core schema), sizes and durations. */
#ifndef GHEE_TEXT_SCALAR_H
#define GHEE_TEXT_SCALAR_H

#include "text/document.h"

/** Sets kind and value of a node from its text. */
void ghee_scalar_resolve(ghee_node *node);
/** JSON writes a character above U+FFFF as two \u escapes, which libyaml refuses: appends the text with one \U escape for each such pair.
 *  false, and nothing appended, where there is none, or the text is no JSON. */
bool ghee_scalar_join_surrogates(const char *text, size_t size_bytes, ghee_buffer *out);
/** "256MiB" → bytes; "30s" → milliseconds. false: not of that form, or too large. */
bool ghee_scalar_bytes(const char *text, uint64_t *out);
bool ghee_scalar_duration(const char *text, uint64_t *out_ms);

#endif
