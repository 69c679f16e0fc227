/* SPDX-License-Identifier: Apache-2.0
 * Removals and copies of an S3 store, a few side by side. */
#include <string.h>

#include "base/memory.h"
#include "storage/s3.h"

/* What one request is about; its texts live as long as it runs. */
static ghee_status settle(ghee_s3_crew *crew, size_t slot, ghee_error *err) {
  ghee_s3_request *request = &crew->members[slot].request;
  ghee_status status = GHEE_OK;
  if (crew->members[slot].busy) {
    status = ghee_s3_wait(crew->store, request, err);
    bool gone = strcmp(request->method, "DELETE") == 0 && request->response.status == 404;
    if (status == GHEE_OK && !gone) status = ghee_s3_refused(crew->store, request, err);
  }
  ghee_free((void *)request->what);
  ghee_s3_request_fini(request);
  ghee_free(crew->members[slot].key);
  ghee_free(crew->members[slot].source);
  crew->members[slot].key = crew->members[slot].source = NULL;
  crew->members[slot].busy = false;
  return status;
}

static ghee_status begin(ghee_s3_crew *crew, const char *method, const char *verb, const char *key, const char *source, ghee_error *err) {
  size_t slot = crew->at++ % GHEE_S3_CREW;
  GHEE_TRY(settle(crew, slot, err));
  ghee_s3_request *request = &crew->members[slot].request;
  crew->members[slot].key = ghee_strdup(key);
  *request = (ghee_s3_request){.what = ghee_asprintf("cannot %s %s%s", verb, crew->store->head, key), .method = method, .key = crew->members[slot].key};
  if (source) {
    ghee_buffer text = {0};
    ghee_buffer_printf(&text, "x-amz-copy-source: /%s/", crew->store->bucket);
    ghee_url_escape(&text, source, true);
    crew->members[slot].source = ghee_strdup(ghee_buffer_text(&text));
    bool failed = text.failed || !crew->members[slot].source;
    ghee_buffer_fini(&text);
    if (failed) return ghee_error_no_memory(err, "copying an object");
    request->headers[request->n_headers++] = crew->members[slot].source;
  }
  if (!request->what || !request->key) return ghee_error_no_memory(err, "working on objects");
  GHEE_TRY(ghee_s3_start(crew->store, request, err));
  crew->members[slot].busy = true;
  return GHEE_OK;
}

ghee_status ghee_s3_crew_remove(ghee_s3_crew *crew, const char *key, ghee_error *err) { return begin(crew, "DELETE", "remove", key, NULL, err); }

ghee_status ghee_s3_crew_copy(ghee_s3_crew *crew, const char *from, const char *to, ghee_error *err) { return begin(crew, "PUT", "copy to", to, from, err); }

ghee_status ghee_s3_crew_end(ghee_s3_crew *crew, ghee_error *err) {
  for (size_t i = 0; i < GHEE_S3_CREW; i++) GHEE_TRY(settle(crew, i, err));
  return GHEE_OK;
}

void ghee_s3_crew_fini(ghee_s3_crew *crew) {
  for (size_t i = 0; i < GHEE_S3_CREW; i++) {
    crew->members[i].busy = false;
    (void)settle(crew, i, NULL);
  }
}
