/* SPDX-License-Identifier: Apache-2.0
 * For tests: texts parsed, and what is said of those that are refused. */
#ifndef GHEE_TEXT_SAMPLE_H
#define GHEE_TEXT_SAMPLE_H

#include <stdio.h>

#include "base/nth_alloc.h"
#include "text/document.h"

static inline ghee_document *sample_parse(const char *text) {
  ghee_document *document = NULL;
  ghee_error err;
  if (ghee_document_parse(text, strlen(text), "job.yaml", &document, &err) != GHEE_OK) fail_msg("%s\n%s", err.message, text);
  return document;
}

/** The text is refused with GHEE_INVALID, at "job.yaml:<place>: ", and the message holds `words`. */
static inline void sample_refused(const char *text, size_t size, const char *place, const char *words) {
  ghee_document *document = NULL;
  ghee_error err = {0};
  char start[64];
  ghee_status status = ghee_document_parse(text, size, "job.yaml", &document, &err);
  if (status != GHEE_INVALID) fail_msg("status %s for\n%s", ghee_status_name(status), text);
  assert_null(document);
  snprintf(start, sizeof start, "job.yaml:%s: ", place);
  if (strncmp(err.message, start, strlen(start)) != 0) fail_msg("not at %s: %s\n%s", place, err.message, text);
  if (!strstr(err.message, words)) fail_msg("'%s' is not in: %s", words, err.message);
}

/** The document as JSON. Borrowed until the next call. */
static inline const char *sample_json(const ghee_node *node) {
  static char text[20000];
  ghee_buffer out = {0};
  ghee_node_to_json(node, &out);
  assert_true(out.size < sizeof text);
  strcpy(text, ghee_buffer_text(&out));
  ghee_buffer_fini(&out);
  return text;
}

static inline void sample_reads_as(const char *text, const char *json) {
  ghee_document *document = sample_parse(text);
  assert_string_equal(sample_json(ghee_document_root(document)), json);
  ghee_document_free(document);
}

#endif
