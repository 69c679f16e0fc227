/* SPDX-License-Identifier: Apache-2.0
 * What a plain scalar means (YAML 1.2 core schema), sizes and durations. */
#ifndef GHEE_TEXT_SCALAR_H
#define GHEE_TEXT_SCALAR_H

#include "text/document.h"

/** Sets kind and value of a node from its text. */
void ghee_scalar_resolve(ghee_node *node);
/** JSON writes characters above U+FFFF as two escapes, which libyaml leaves as two halves (CESU-8): joins them in place. */
void ghee_scalar_join_surrogates(char *text);
/** "256MiB" → bytes; "30s" → milliseconds. false: not of that form, or too large. */
bool ghee_scalar_bytes(const char *text, uint64_t *out);
bool ghee_scalar_duration(const char *text, uint64_t *out_ms);

#endif
