/* SPDX-License-Identifier: Apache-2.0
 * What only the s3: backend can show, against scripted answers: settings, what is signed and sent, what answers mean. What a real server
 * does is in the conformance suite and in tests/integration. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "net/scripted_server.h"
#include "storage/s3_upload.h"
#include "storage/xml.h"

static scripted_server server;
static ghee_object_store *store;
static ghee_error err;
static char head[256];
static const struct ghee_object_store_ops *const ops = &ghee_object_store_s3;

static int setup(void **state) {
  (void)state;
  static const char *const clean[] = {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"};
  for (size_t i = 0; i < sizeof clean / sizeof *clean; i++) unsetenv(clean[i]);
  setenv("HOME", "/nonexistent", 1);
  setenv("AWS_ACCESS_KEY_ID", "key", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  return 0;
}

/* A store "b" on a server that plays `steps`. */
#define play(...) play_steps((const scripted_step[]){__VA_ARGS__}, sizeof((const scripted_step[]){__VA_ARGS__}) / sizeof(scripted_step))
static void play_steps(const scripted_step *steps, size_t n) {
  static scripted_step kept[SCRIPTED_MOST];
  memcpy(kept, steps, n * sizeof *steps);
  scripted_start(&server, kept, n);
  snprintf(head, sizeof head, "s3://b;region=us-east-1;endpoint=%s/", server.url);
  if (ops->open(head, &store, &err) != GHEE_OK) fail_msg("%s", err.message);
}

static void stop(void) {
  ops->close(store);
  scripted_stop(&server);
}

static void end(void) {
  stop();
  scripted_free(&server);
}

static const char *uri(const char *key) {
  static char text[512];
  snprintf(text, sizeof text, "%s%s", head, key);
  return text;
}

/* ---- settings ---- */

static ghee_status config_of(const char *options, ghee_s3_config *out) {
  *out = (ghee_s3_config){0};
  return ghee_s3_config_read(options, out, &err);
}

static void write_profiles(char home[32]) {
  static const char credentials[] = "[default]\naws_access_key_id = dk\naws_secret_access_key=ds\naws_session_token = dt\n\n# x\n[ lab ]\naws_access_key_id=lk\naws_secret_access_key= ls \n";
  static const char config[] = "[default]\nregion = r1\n[profile lab]\nendpoint_url = http://lab:9000\nregion=r2\ns3 =\n  region = nested\n[profile labour]\nregion=r3\n";
  char path[128];
  strcpy(home, "/tmp/ghee-s3-XXXXXX");
  assert_non_null(mkdtemp(home));
  snprintf(path, sizeof path, "%s/.aws", home);
  assert_int_equal(ghee_dir_make_all(path, 0700, NULL), GHEE_OK);
  snprintf(path, sizeof path, "%s/.aws/credentials", home);
  assert_int_equal(ghee_file_write_atomic(path, credentials, strlen(credentials), NULL), GHEE_OK);
  snprintf(path, sizeof path, "%s/.aws/config", home);
  assert_int_equal(ghee_file_write_atomic(path, config, strlen(config), NULL), GHEE_OK);
  setenv("HOME", home, 1);
}

static void test_settings(void **state) {
  (void)state;
  ghee_s3_config of;
  char home[32];
  assert_int_equal(config_of("", &of), GHEE_OK);
  assert_string_equal(of.keys.key, "key");
  assert_string_equal(of.region, "us-east-1");
  assert_null(of.endpoint);
  ghee_s3_config_fini(&of);
  write_profiles(home);
  setenv("AWS_REGION", "re", 1);
  assert_int_equal(config_of("endpoint=https%3A%2F%2Fh%3A1;anonymous;style=virtual", &of), GHEE_OK);
  assert_string_equal(of.endpoint, "https://h:1");
  assert_string_equal(of.region, "re");
  assert_string_equal(of.anonymous, "true");
  assert_null(of.keys.token); /* the profile's is not that of the key in the environment */
  ghee_s3_config_fini(&of);
  assert_int_equal(config_of("profile=lab", &of), GHEE_OK);
  assert_string_equal(of.keys.key, "lk"); /* a profile of the URI goes before the environment */
  assert_string_equal(of.keys.secret, "ls");
  assert_string_equal(of.endpoint, "http://lab:9000");
  ghee_s3_config_fini(&of);
  unsetenv("AWS_ACCESS_KEY_ID");
  unsetenv("AWS_SECRET_ACCESS_KEY");
  unsetenv("AWS_REGION");
  assert_int_equal(config_of("", &of), GHEE_OK);
  assert_string_equal(of.keys.key, "dk");
  assert_string_equal(of.keys.token, "dt");
  assert_string_equal(of.region, "r1");
  ghee_s3_config_fini(&of);
  assert_int_equal(config_of("profile=none", &of), GHEE_NOT_FOUND);
  for (long n = 1;; n++) {
    ghee_memory_fail_at(n);
    ghee_status status = config_of("profile=lab;region=x", &of);
    bool reached = ghee_memory_count() >= n;
    ghee_memory_fail_at(0);
    assert_int_equal(status, reached ? GHEE_NO_MEMORY : GHEE_OK);
    if (status == GHEE_OK) ghee_s3_config_fini(&of);
    if (!reached) break;
  }
  assert_int_equal(ghee_dir_remove_all(home, NULL), GHEE_OK);
  setenv("HOME", "/nonexistent", 1);
  assert_int_equal(config_of("", &of), GHEE_DENIED);
  assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID"));
  assert_int_equal(config_of("anonymous", &of), GHEE_OK);
  ghee_s3_config_fini(&of);
  assert_int_equal(config_of("colour=red", &of), GHEE_INVALID);
  assert_int_equal(config_of("style=round", &of), GHEE_INVALID);
  assert_int_equal(config_of("region=%zz", &of), GHEE_INVALID);
}

static void test_uris(void **state) {
  (void)state;
  static const char *const bad[] = {"s3:", "s3:b/k", "s3://", "s3:///k", "s3://u@b/k", "s3://b:80/k", "s3://b;endpoint=ftp%3A%2F%2Fx/k", "s3://b;endpoint=ftp://x/k", "s3://b;endpoint=http://"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (ops->open(bad[i], &store, &err) != GHEE_INVALID) fail_msg("%s", bad[i]);
  assert_int_equal(ops->open("s3://b;region=r/k", &store, &err), GHEE_OK);
  ghee_source *source;
  assert_int_equal(ops->read(store, "s3://b/k", NULL, &source, &err), GHEE_INVALID);
  assert_int_equal(ops->read(store, "s3://b;region=r", NULL, &source, &err), GHEE_INVALID);
  assert_int_equal(ops->remove_all(store, "s3://b;region=r/", &err), GHEE_INVALID);
  ops->close(store);
}

/* ---- what is sent ---- */

#define OBJECT "HTTP/1.1 206 Partial\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/5\r\nETag: \"v1\"\r\n\r\nhello"
#define SAYS(status, code) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>it &amp; they</Message></Error>"

static ghee_status open_object(ghee_source **out) {
  *out = NULL;
  err.message[0] = 0;
  return ops->read(store, uri("a b/+"), "v1", out, &err);
}

static void test_what_is_sent(void **state) {
  (void)state;
  ghee_source *source;
  char text[5];
  setenv("AWS_SESSION_TOKEN", "tok", 1);
  play({OBJECT, KEEP});
  assert_int_equal(open_object(&source), GHEE_OK);
  assert_int_equal(source->size_bytes, 5);
  assert_int_equal(source->ops->read(source, 1, 3, text, NULL), GHEE_OK);
  assert_memory_equal(text, "ell", 3);
  source->ops->close(source);
  stop();
  static const char *const want[] = {"GET /b/a%20b/%2B HTTP/1.1\r\n", "\r\nrange: bytes=-65536\r\n", "\r\nif-match: \"v1\"\r\n", "\r\nx-amz-security-token: tok\r\n",
                                     "Credential=key/", "SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date;x-amz-security-token,"};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++)
    if (!strstr(server.requests[0], want[i])) fail_msg("%s is not in %s", want[i], server.requests[0]);
  scripted_free(&server);
}

static void test_anonymous(void **state) {
  (void)state;
  ghee_source *source;
  play({OBJECT, KEEP});
  ops->close(store);
  head[strlen(head) - 1] = 0;
  strcat(head, ";anonymous/");
  assert_int_equal(ops->open(head, &store, &err), GHEE_OK);
  assert_int_equal(open_object(&source), GHEE_OK);
  source->ops->close(source);
  stop();
  assert_null(strcasestr(server.requests[0], "authorization"));
  scripted_free(&server);
}

static void write_hello(void) {
  ghee_sink *sink;
  assert_int_equal(ops->write(store, uri("k"), &sink, &err), GHEE_OK);
  assert_int_equal(sink->ops->write(sink, "hello", 5, &err), GHEE_OK);
  assert_int_equal(sink->ops->finish(sink, &err), GHEE_OK);
  sink->ops->close(sink);
}

static void test_bodies_are_signed_unless_told(void **state) {
  (void)state;
  play({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP}, {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP});
  write_hello();
  ops->close(store);
  head[strlen(head) - 1] = 0;
  strcat(head, ";unsigned/");
  assert_int_equal(ops->open(head, &store, &err), GHEE_OK);
  write_hello();
  stop();
  assert_non_null(strstr(server.requests[0], "\r\nx-amz-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n"));
  assert_non_null(strstr(server.requests[1], "\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"));
  scripted_free(&server);
}

static void test_clock_is_put_right(void **state) {
  (void)state;
  ghee_source *source;
  play({"HTTP/1.1 403 No\r\nDate: Fri, 24 May 2013 00:00:00 GMT\r\nConnection: close\r\n\r\n<Error><Code>RequestTimeTooSkewed</Code></Error>", CLOSE}, {OBJECT, KEEP},
       {OBJECT, KEEP});
  for (int i = 0; i < 2; i++) {
    assert_int_equal(open_object(&source), GHEE_OK);
    source->ops->close(source);
  }
  stop();
  assert_null(strstr(server.requests[0], "x-amz-date: 20130524T0000"));
  assert_non_null(strstr(server.requests[1], "x-amz-date: 20130524T0000"));
  assert_non_null(strstr(server.requests[2], "x-amz-date: 20130524T0000")); /* and stays so */
  scripted_free(&server);
  play({SAYS("403 No", "RequestTimeTooSkewed"), CLOSE});
  assert_int_equal(open_object(&source), GHEE_DENIED);
  assert_non_null(strstr(err.message, "clock"));
  end();
}

static void write_credentials(const char *home, const char *key) {
  char path[128], text[256];
  snprintf(path, sizeof path, "%s/.aws/credentials", home);
  int n = snprintf(text, sizeof text, "[default]\naws_access_key_id=%s\naws_secret_access_key=s\naws_session_token=t-%s\n", key, key);
  assert_int_equal(ghee_file_write_atomic(path, text, (size_t)n, NULL), GHEE_OK);
}

static void test_expired_keys_are_read_anew(void **state) {
  (void)state;
  ghee_source *source;
  char home[32];
  uint64_t size;
  write_profiles(home);
  unsetenv("AWS_ACCESS_KEY_ID");
  unsetenv("AWS_SECRET_ACCESS_KEY");
  play({SAYS("400 N", "ExpiredToken"), CLOSE}, {OBJECT, KEEP}, {OBJECT, KEEP}, {SAYS("400 N", "ExpiredToken"), CLOSE},
       {"HTTP/1.1 403 N\r\nContent-Length: 0\r\n\r\n", KEEP}, {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", CLOSE});
  write_credentials(home, "k2");
  for (int i = 0; i < 2; i++) {
    assert_int_equal(open_object(&source), GHEE_OK);
    source->ops->close(source);
  }
  assert_int_equal(open_object(&source), GHEE_DENIED); /* the file still has those that have expired */
  assert_non_null(strstr(err.message, "the session has ended"));
  write_credentials(home, "k3");
  assert_int_equal(ghee_s3_head((ghee_s3_store *)store, "k", &size, NULL, &err), GHEE_OK); /* HEAD does not say why it is refused */
  stop();
  static const char *const keys[] = {"dk", "k2", "k2", "k2", "k2", "k3"};
  for (size_t i = 0; i < 6; i++) {
    char want[32];
    snprintf(want, sizeof want, "Credential=%s/", keys[i]);
    if (!server.requests[i] || !strstr(server.requests[i], want)) fail_msg("request %zu has not %s", i, want);
  }
  assert_non_null(strstr(server.requests[1], "\r\nx-amz-security-token: t-k2\r\n"));
  scripted_free(&server);
  assert_int_equal(ghee_dir_remove_all(home, NULL), GHEE_OK);
}

static void test_region_is_put_right(void **state) {
  (void)state;
  ghee_source *source;
  play({"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-1\r\nContent-Length: 0\r\n\r\n", KEEP}, {OBJECT, KEEP},
       {"HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n<Error><Code>AuthorizationHeaderMalformed</Code><Region>ap-2</Region></Error>", CLOSE}, {OBJECT, KEEP},
       {"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-1\r\nContent-Length: 0\r\n\r\n", KEEP},
       {"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-2\r\nContent-Length: 0\r\n\r\n", KEEP});
  for (int i = 0; i < 2; i++) {
    assert_int_equal(open_object(&source), GHEE_OK);
    source->ops->close(source);
  }
  assert_int_equal(open_object(&source), GHEE_INVALID); /* round and round */
  assert_non_null(strstr(err.message, "another region"));
  stop();
  assert_non_null(strstr(server.requests[0], "/us-east-1/s3/"));
  assert_non_null(strstr(server.requests[1], "/eu-1/s3/"));
  assert_non_null(strstr(server.requests[3], "/ap-2/s3/"));
  scripted_free(&server);
}

static void test_meanings(void **state) {
  (void)state;
  static const struct { const char *answer; ghee_status status; const char *words; } cases[] = {
      {SAYS("404 N", "NoSuchBucket"), GHEE_NOT_FOUND, "name of the bucket"},
      {SAYS("404 N", "NoSuchKey"), GHEE_NOT_FOUND, "NoSuchKey: it & they"},
      {SAYS("403 N", "AccessDenied"), GHEE_DENIED, "ask whoever owns"},
      {SAYS("403 N", "InvalidAccessKeyId"), GHEE_DENIED, "AWS_ACCESS_KEY_ID"},
      {SAYS("403 N", "SignatureDoesNotMatch"), GHEE_DENIED, "AWS_SECRET_ACCESS_KEY"},
      {SAYS("400 N", "ExpiredToken"), GHEE_DENIED, "AWS_SESSION_TOKEN"},
      {SAYS("412 N", "PreconditionFailed"), GHEE_CHANGED, "has changed"},
      {"HTTP/1.1 403 N\r\nContent-Length: 0\r\n\r\n", GHEE_DENIED, "answered 403; look at the credentials"},
      {"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/b\r\nContent-Length: 0\r\n\r\n", GHEE_INVALID, "at another endpoint or in another region"},
      {"HTTP/1.1 507 N\r\nContent-Length: 0\r\n\r\n", GHEE_NO_SPACE, "make room"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", GHEE_UNSUPPORTED, "no ETag"},
      {"HTTP/1.1 206 OK\r\nContent-Length: 5\r\nContent-Range: what\r\nETag: \"v1\"\r\n\r\nhello", GHEE_IO, "Content-Range"},
      {"HTTP/1.1 206 OK\r\nContent-Length: 5\r\nContent-Range: bytes 0-9/10\r\nETag: \"v1\"\r\n\r\nhello", GHEE_IO, "5 bytes"},
      {"HTTP/1.1 206 OK\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/5\r\nETag: \"v2\"\r\n\r\nhello", GHEE_CHANGED, "changed"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ghee_source *source;
    play({cases[i].answer, CLOSE});
    assert_int_equal(open_object(&source), cases[i].status);
    if (!strstr(err.message, cases[i].words)) fail_msg("%s is not in: %s", cases[i].words, err.message);
    assert_non_null(strstr(err.message, "a b/+"));
    end();
  }
}

/* ---- reading ---- */

#define BIG(etag) "HTTP/1.1 206 P\r\nContent-Length: 1\r\nContent-Range: bytes 99-99/100\r\nETag: \"" etag "\"\r\n\r\nx"

static void test_changed_while_read(void **state) {
  (void)state;
  ghee_source *source;
  char text[8];
  play({BIG("v1"), KEEP}, {SAYS("412 Changed", "PreconditionFailed"), CLOSE}, {SAYS("404 Gone", "NoSuchKey"), CLOSE}, {"HTTP/1.1 503 Slow\r\nContent-Length: 0\r\n\r\n", KEEP},
       {"HTTP/1.1 206 P\r\nContent-Length: 8\r\nETag: \"v1\"\r\n\r\n1234", RESET}, {"HTTP/1.1 206 P\r\nContent-Length: 8\r\nETag: \"v1\"\r\n\r\n12345678", KEEP});
  assert_int_equal(open_object(&source), GHEE_OK);
  assert_int_equal(source->ops->read(source, 0, 8, text, &err), GHEE_CHANGED);
  assert_non_null(strstr(err.message, "has changed"));
  assert_int_equal(source->ops->read(source, 0, 8, text, &err), GHEE_CHANGED);
  assert_non_null(strstr(err.message, "removed while it was read"));
  assert_int_equal(source->ops->read(source, 3, 8, text, &err), GHEE_OK); /* after a 503 and a reset in the middle */
  assert_memory_equal(text, "12345678", 8);
  source->ops->close(source);
  stop();
  assert_non_null(strstr(server.requests[5], "range: bytes=3-10\r\n"));
  scripted_free(&server);
}

/* ---- listing ---- */

static ghee_status collect(void *user, const ghee_object_info *info, ghee_error *failed) {
  (void)failed;
  sprintf((char *)user + strlen(user), "%s=%llu(%s) ", info->uri + strlen(head), (unsigned long long)info->size_bytes, info->version);
  return GHEE_OK;
}

static void test_pages(void **state) {
  (void)state;
  char seen[512] = "";
  play({"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n", KEEP},
       {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult xmlns=\"x\"><Contents><Key>in/a&amp;b</Key><Size>3</Size><ETag>&quot;e1&quot;</ETag><Owner><ID>Key</ID></Owner>"
        "</Contents><Contents><Key>in/dir/</Key><Size>0</Size></Contents><Contents><Key>in/_x</Key><Size>0</Size></Contents>"
        "<NextContinuationToken>t/1</NextContinuationToken><IsTruncated>true</IsTruncated></ListBucketResult>", CLOSE},
       {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult><IsTruncated>false</IsTruncated><Contents><ETag>\"e2\"</ETag><Key>in/c</Key><Size>4</Size></Contents></ListBucketResult>", CLOSE});
  assert_int_equal(ops->list(store, uri("in"), collect, seen, &err), GHEE_OK);
  assert_string_equal(seen, "in/a&b=3(e1) in/c=4(e2) ");
  stop();
  assert_non_null(strstr(server.requests[1], "GET /b?list-type=2&prefix=in%2F HTTP"));
  assert_non_null(strstr(server.requests[2], "GET /b?continuation-token=t%2F1&list-type=2&prefix=in%2F HTTP"));
  scripted_free(&server);
  play({"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n", KEEP}, {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult><Contents><Key>in/a", CLOSE});
  assert_int_equal(ops->list(store, uri("in"), collect, seen, &err), GHEE_IO);
  assert_non_null(strstr(err.message, "no listing"));
  end();
  play({"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n", KEEP}, {SAYS("403 N", "AccessDenied"), CLOSE});
  assert_int_equal(ops->list(store, uri("in"), collect, seen, &err), GHEE_DENIED);
  assert_non_null(strstr(err.message, "cannot list"));
  end();
}

static void test_xml(void **state) {
  (void)state;
  char out[16];
  static const struct { const char *xml, *text; } good[] = {
      {"<a><b>1</b></a>", "1"}, {"<?xml?><!-- <b> --><n:a x='>'><n:b y=\"1\">&lt;&#65;&#x42;&quot;&apos;&amp;</n:b></n:a>", "<AB\"'&"},
      {"<a><b/></a>", ""}, {"<a><b><![CDATA[<&]]></b></a>", "<&"}, {"<a><b>&no; &#xFFFFFFF;</b></a>", "&no; &#xFFFFFFF"}, {"<a><b>&#228;</b></a>", "\xc3\xa4"}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_true(ghee_xml_find(good[i].xml, strlen(good[i].xml), "b", out, sizeof out));
    assert_string_equal(out, good[i].text);
  }
  static const char *const bad[] = {"", "<", "<a>", "<a><", "<a><b>", "<a><b>1</", "</b>", "<!--", "<![CDATA[", "<a x='", "<a><b>&", "<>"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(ghee_xml_find(bad[i], strlen(bad[i]), "c", out, sizeof out));
}

/* ---- writing ---- */

enum { TWO_PARTS = 9 << 20 };
#define BEGUN {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<R><UploadId>u 1</UploadId></R>", CLOSE}
#define PART {"HTTP/1.1 200 OK\r\nETag: \"p&1\"\r\nContent-Length: 0\r\n\r\n", KEEP}
#define ABORTED {"HTTP/1.1 204 No\r\n\r\n", KEEP}

/* Writes an object of two parts; the server's answers follow the steps. */
static ghee_status write_two_parts(void) {
  char *data = calloc(1, TWO_PARTS);
  ghee_sink *sink;
  assert_int_equal(ops->write(store, uri("k"), &sink, &err), GHEE_OK);
  ghee_status status = sink->ops->write(sink, data, TWO_PARTS, &err);
  if (status == GHEE_OK) status = sink->ops->finish(sink, &err);
  if (status != GHEE_OK) assert_int_equal(sink->ops->finish(sink, NULL), status);
  sink->ops->close(sink);
  free(data);
  return status;
}

static void expect_request(size_t at, const char *text) {
  if (!server.requests[at] || !strstr(server.requests[at], text)) fail_msg("%s is not in request %zu: %.200s", text, at, server.requests[at] ? server.requests[at] : "none");
}

static void test_upload(void **state) {
  (void)state;
  play(BEGUN, PART, PART, {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>", CLOSE});
  assert_int_equal(write_two_parts(), GHEE_OK);
  stop();
  expect_request(0, "POST /b/k?uploads= HTTP");
  expect_request(3, "POST /b/k?uploadId=u%201 HTTP");
  expect_request(3, "<Part><PartNumber>1</PartNumber><ETag>&quot;p&amp;1&quot;</ETag></Part><Part><PartNumber>2</PartNumber>");
  scripted_free(&server);
}

static void test_upload_that_fails_is_aborted(void **state) {
  (void)state;
  play(BEGUN, PART, PART, {SAYS("403 N", "QuotaExceeded"), CLOSE}, ABORTED);
  assert_int_equal(write_two_parts(), GHEE_NO_SPACE);
  stop();
  expect_request(4, "DELETE /b/k?uploadId=u%201 HTTP");
  scripted_free(&server);
  play(BEGUN, PART, PART, {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<Error><Code>InternalError</Code></Error>", CLOSE}, ABORTED); /* a 200 that is none */
  assert_int_equal(write_two_parts(), GHEE_IO);
  stop();
  expect_request(4, "DELETE /b/k?uploadId=u%201 HTTP");
  scripted_free(&server);
  play(BEGUN, {SAYS("403 N", "AccessDenied"), CLOSE}, {SAYS("403 N", "AccessDenied"), CLOSE}, ABORTED);
  assert_int_equal(write_two_parts(), GHEE_DENIED);
  end();
}

/* The answer to the first completion is lost; the server has done it, and says to the second that there is no such upload. */
static void test_lost_completion(void **state) {
  (void)state;
  play(BEGUN, PART, PART, {NULL, RESET}, {SAYS("404 N", "NoSuchUpload"), CLOSE}, {"HTTP/1.1 200 OK\r\nContent-Length: 9437184\r\n\r\n", CLOSE});
  assert_int_equal(write_two_parts(), GHEE_OK);
  end();
  play(BEGUN, PART, PART, {NULL, RESET}, {SAYS("404 N", "NoSuchUpload"), CLOSE}, {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", CLOSE}, ABORTED);
  assert_int_equal(write_two_parts(), GHEE_NOT_FOUND);
  end();
}

#define COPIED(etag) {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<CopyPartResult><ETag>&quot;" etag "&quot;</ETag></CopyPartResult>", CLOSE}

static void test_copy_in_parts(void **state) {
  (void)state;
  play(BEGUN, COPIED("c1"), COPIED("c2"), {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<R><ETag>x</ETag></R>", CLOSE}, BEGUN, COPIED("c1"),
       {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<Error><Code>AccessDenied</Code></Error>", CLOSE}, ABORTED);
  assert_int_equal(ghee_s3_upload_copy((ghee_s3_store *)store, "a b", "k", 7, 4, &err), GHEE_OK);
  assert_int_equal(ghee_s3_upload_copy((ghee_s3_store *)store, "a b", "k", 7, 4, &err), GHEE_DENIED);
  stop();
  expect_request(1, "PUT /b/k?partNumber=1&uploadId=u%201 HTTP");
  expect_request(1, "\r\nx-amz-copy-source: /b/a%20b\r\n");
  expect_request(2, "\r\nx-amz-copy-source-range: bytes=4-6\r\n");
  expect_request(3, "<Part><PartNumber>2</PartNumber><ETag>&quot;c2&quot;</ETag></Part>");
  expect_request(7, "DELETE /b/k?uploadId=u%201 HTTP");
  scripted_free(&server);
}

/* ---- publishing ---- */

static const char *const names[] = {"p", "_SUCCESS"};

static ghee_status publish(void) {
  char staging[512];
  snprintf(staging, sizeof staging, "%sx/.out.ghee-j", head);
  return ops->publish(store, staging, uri("x/out"), GHEE_PUBLISH_ERROR, names, 2, &err);
}

#define NOTHING {"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n", KEEP}
#define GOOD {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP}
#define REFUSED {"HTTP/1.1 412 N\r\nContent-Length: 0\r\n\r\n", KEEP}

static void test_store_without_conditions(void **state) {
  (void)state;
  play(NOTHING, GOOD, GOOD, GOOD); /* look, claim, and once more, which should be refused */
  assert_int_equal(publish(), GHEE_UNSUPPORTED);
  assert_non_null(strstr(err.message, ";unguarded"));
  stop();
  expect_request(1, "PUT /b/x/.out.ghee.claim HTTP");
  expect_request(1, "\r\nif-none-match: *\r\n");
  expect_request(1, "\r\n\r\nclaimed\nx/.out.ghee-j\n");
  expect_request(3, "DELETE /b/x/.out.ghee.claim HTTP");
  scripted_free(&server);
  play(GOOD, GOOD, GOOD);
  assert_int_equal(ops->check_output(store, uri("x/out"), &err), GHEE_UNSUPPORTED);
  stop();
  expect_request(0, "PUT /b/x/.out.ghee-probe-");
  expect_request(2, "DELETE /b/x/.out.ghee-probe-");
  scripted_free(&server);
  play(GOOD, REFUSED, GOOD);
  assert_int_equal(ops->check_output(store, uri("x/out"), &err), GHEE_OK);
  end();
}

static void test_claimed_by_another(void **state) {
  (void)state;
  play({"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\ncopying\nx/.out.ghee-other\n", KEEP}, NOTHING, {"HTTP/1.1 409 N\r\nContent-Length: 0\r\n\r\n", KEEP},
       {"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\nclaimed\nx/.out.ghee-other\n", KEEP}, {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", KEEP});
  assert_int_equal(publish(), GHEE_BUSY);
  assert_non_null(strstr(err.message, "x/.out.ghee-other"));
  assert_int_equal(publish(), GHEE_BUSY); /* it came between our look and our claim */
  assert_int_equal(publish(), GHEE_CORRUPT);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_settings, setup),
      cmocka_unit_test_setup(test_uris, setup),
      cmocka_unit_test_setup(test_what_is_sent, setup),
      cmocka_unit_test_setup(test_anonymous, setup),
      cmocka_unit_test_setup(test_bodies_are_signed_unless_told, setup),
      cmocka_unit_test_setup(test_clock_is_put_right, setup),
      cmocka_unit_test_setup(test_expired_keys_are_read_anew, setup),
      cmocka_unit_test_setup(test_region_is_put_right, setup),
      cmocka_unit_test_setup(test_meanings, setup),
      cmocka_unit_test_setup(test_changed_while_read, setup),
      cmocka_unit_test_setup(test_pages, setup),
      cmocka_unit_test(test_xml),
      cmocka_unit_test_setup(test_upload, setup),
      cmocka_unit_test_setup(test_upload_that_fails_is_aborted, setup),
      cmocka_unit_test_setup(test_lost_completion, setup),
      cmocka_unit_test_setup(test_copy_in_parts, setup),
      cmocka_unit_test_setup(test_store_without_conditions, setup),
      cmocka_unit_test_setup(test_claimed_by_another, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
