/* SPDX-License-Identifier: Apache-2.0
 * Percent escapes (RFC 3986), queries, and the parts of an http URL. */
#ifndef GHEE_NET_URL_H
#define GHEE_NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/** Appends `text` with every byte escaped but letters, digits and "-._~" (and '/', where `keep_slash`); hex digits are upper case. */
void ghee_url_escape(ghee_buffer *out, const char *text, bool keep_slash);
/** Takes the escapes out, in place. GHEE_INVALID: a percent sign without two hex digits, or %00. */
ghee_status ghee_url_unescape(char *text, ghee_error *err);
/** Appends "?name=value" or "&name=value", escaped; `value` NULL: the name alone with its '='. */
void ghee_url_add_query(ghee_buffer *url, const char *name, const char *value);

/** The parts of "http[s]://host[:port][/path][?query]"; all point to one block. */
typedef struct ghee_url {
  char *block;
  const char *scheme, *host; /* lower case; an IPv6 address keeps its brackets */
  uint16_t port;             /* that of the scheme where none is written */
  const char *authority;     /* as a Host header has it: host, and the port unless it is the scheme's own */
  const char *path;          /* from its '/' on, as written; "/" where there is none */
  const char *query;         /* behind the '?', "" where there is none */
} ghee_url;

/** GHEE_INVALID for what is no http or https URL, or names a user. out gives: ghee_url_fini. */
ghee_status ghee_url_parse(const char *text, ghee_url *out, ghee_error *err);
void ghee_url_fini(ghee_url *url);

#endif
