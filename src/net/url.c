/* SPDX-License-Identifier: Apache-2.0
 * URLs as text. */
#include "net/url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void ghee_url_escape(ghee_buffer *out, const char *text, bool keep_slash) {
  static const char digits[] = "0123456789ABCDEF";
  for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
    bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || strchr("-._~", *at);
    if (plain || (keep_slash && *at == '/')) ghee_buffer_put_u8(out, *at);
    else ghee_buffer_put(out, (char[]){'%', digits[*at >> 4], digits[*at & 15]}, 3);
  }
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

ghee_status ghee_url_unescape(char *text, ghee_error *err) {
  char *to = text;
  for (const char *at = text; *at; at++) {
    if (*at != '%') {
      *to++ = *at;
      continue;
    }
    int high = hex(at[1]), low = high < 0 ? -1 : hex(at[2]);
    if (low < 0 || high + low == 0) return ghee_error_set(err, GHEE_INVALID, "\"%.60s\" is no escape: a percent sign and two hex digits are needed (%%25 for the sign itself)", at);
    *to++ = (char)(high << 4 | low);
    at += 2;
  }
  *to = 0;
  return GHEE_OK;
}

void ghee_url_add_query(ghee_buffer *url, const char *name, const char *value) {
  bool first = !url->data || !memchr(url->data, '?', url->size);
  ghee_buffer_put_u8(url, first ? '?' : '&');
  ghee_url_escape(url, name, false);
  ghee_buffer_put_u8(url, '=');
  if (value) ghee_url_escape(url, value, false);
}

static ghee_status no_url(const char *text, const char *why, ghee_error *err) {
  return ghee_error_set(err, GHEE_INVALID, "\"%s\" is no http URL: %s; write http://HOST[:PORT][/PATH] or https://…", text, why);
}

/* Fills host and port from what stands between "//" and the path. */
static ghee_status read_authority(const char *text, char *from, ghee_url *url, ghee_error *err) {
  bool tls = url->scheme[4] == 's';
  url->port = tls ? 443 : 80;
  if (strchr(from, '@')) return no_url(text, "it names a user", err);
  char *colon = *from == '[' ? strchr(from, ']') : from - 1;
  if (!colon) return no_url(text, "a bracket is open", err);
  colon = strchr(colon + 1, ':');
  if (colon) {
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (!isdigit((unsigned char)colon[1]) || *end || port == 0 || port > 65535) return no_url(text, "its port is no number from 1 to 65535", err);
    url->port = (uint16_t)port;
    *colon = 0;
  }
  if (!*from) return no_url(text, "its host is missing", err);
  for (char *c = from; *c; c++) {
    if ((unsigned char)*c <= ' ' || *c == '"' || *c == '\\') return no_url(text, "its host has a character that no host has", err);
    *c = (char)tolower((unsigned char)*c);
  }
  url->host = from;
  return GHEE_OK;
}

ghee_status ghee_url_parse(const char *text, ghee_url *out, ghee_error *err) {
  bool tls = strncmp(text, "https://", 8) == 0;
  if (!tls && strncmp(text, "http://", 7) != 0) return no_url(text, "it does not start with http:// or https://", err);
  ghee_url url = {.scheme = tls ? "https" : "http"};
  size_t length = strlen(text);
  const char *host = text + (tls ? 8 : 7);
  size_t host_length = strcspn(host, "/?#"), path_length = strcspn(host + host_length, "?#");
  const char *path = host + host_length, *query = path + path_length + (path[path_length] == '?');
  size_t query_length = path[path_length] == '?' ? strcspn(query, "#") : 0;
  /* host, authority (host, ':', 5 digits), path, query and their ends */
  url.block = ghee_alloc(2 * length + 32);
  if (!url.block) return ghee_error_no_memory(err, "reading a URL");
  char *to = url.block;
  snprintf(to, host_length + 1, "%s", host);
  ghee_status status = read_authority(text, to, &url, err);
  if (status != GHEE_OK) {
    ghee_url_fini(&url);
    return status;
  }
  to += host_length + 1;
  url.authority = to;
  to += url.port == (tls ? 443 : 80) ? sprintf(to, "%s", url.host) : sprintf(to, "%s:%u", url.host, url.port);
  url.path = ++to;
  to += path_length ? sprintf(to, "%.*s", (int)path_length, path) : sprintf(to, "/");
  url.query = ++to;
  sprintf(to, "%.*s", (int)query_length, query);
  *out = url;
  return GHEE_OK;
}

void ghee_url_fini(ghee_url *url) {
  ghee_free(url->block);
  *url = (ghee_url){0};
}
