/* SPDX-License-Identifier: Apache-2.0
 * UTF-8, strictly (RFC 3629). */
#ifndef GHEE_TEXT_UTF8_H
#define GHEE_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/** Bytes of the character at `at` (1 … 4), 0 if it is not valid within `size`. */
size_t ghee_utf8_length(const unsigned char *at, size_t size);
bool ghee_utf8_valid(const char *text, size_t size);

#endif
