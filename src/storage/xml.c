/* SPDX-License-Identifier: Apache-2.0
 * A pull reader of simple XML. */
#include "storage/xml.h"

#include <stdlib.h>
#include <string.h>

void ghee_xml_init(ghee_xml *xml, const void *data, size_t size_bytes) {
  *xml = (ghee_xml){.at = data, .end = data ? (const char *)data + size_bytes : data};
}

void ghee_xml_fini(ghee_xml *xml) { ghee_buffer_fini(&xml->text); }

static bool begins(const ghee_xml *xml, const char *with) {
  size_t n = strlen(with);
  return (size_t)(xml->end - xml->at) >= n && memcmp(xml->at, with, n) == 0;
}

static bool skip_behind(ghee_xml *xml, const char *what) {
  const char *found = memmem(xml->at, (size_t)(xml->end - xml->at), what, strlen(what));
  if (found) xml->at = found + strlen(what);
  return found;
}

static void put_utf8(ghee_buffer *out, unsigned long c) {
  if (c < 0x80) ghee_buffer_put_u8(out, (uint8_t)c);
  else if (c < 0x800) ghee_buffer_put(out, (uint8_t[]){(uint8_t)(0xC0 | c >> 6), (uint8_t)(0x80 | (c & 63))}, 2);
  else if (c < 0x10000) ghee_buffer_put(out, (uint8_t[]){(uint8_t)(0xE0 | c >> 12), (uint8_t)(0x80 | (c >> 6 & 63)), (uint8_t)(0x80 | (c & 63))}, 3);
  else ghee_buffer_put(out, (uint8_t[]){(uint8_t)(0xF0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 63)), (uint8_t)(0x80 | (c >> 6 & 63)), (uint8_t)(0x80 | (c & 63))}, 4);
}

/* At '&'. What is no entity stands for itself. */
static void put_entity(ghee_xml *xml) {
  static const struct { const char *name; char is; } known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (begins(xml, known[i].name)) {
      ghee_buffer_put_u8(&xml->text, (uint8_t)known[i].is);
      xml->at += strlen(known[i].name);
      return;
    }
  char digits[12] = "";
  size_t n = 0;
  for (const char *c = xml->at + 2; begins(xml, "&#") && c < xml->end && n < sizeof digits - 1 && *c != ';'; c++) digits[n++] = *c;
  char *end = digits;
  unsigned long c = n == 0 ? 0 : digits[0] == 'x' ? strtoul(digits + 1, &end, 16) : strtoul(digits, &end, 10);
  if (c == 0 || c > 0x10FFFF || *end || xml->at + 2 + n >= xml->end || xml->at[2 + n] != ';') {
    ghee_buffer_put_u8(&xml->text, (uint8_t)*xml->at++);
    return;
  }
  put_utf8(&xml->text, c);
  xml->at += n + 3;
}

/* Takes the name behind "<" or "</"; false at the end of the bytes or without a name. */
static bool read_name(ghee_xml *xml) {
  const char *from = xml->at;
  while (xml->at < xml->end && !strchr(" \t\r\n/>", *xml->at)) {
    if (*xml->at == ':') from = xml->at + 1;
    xml->at++;
  }
  size_t n = (size_t)(xml->at - from);
  if (xml->at == xml->end || n == 0 || n >= sizeof xml->name) return false;
  memcpy(xml->name, from, n);
  xml->name[n] = 0;
  return true;
}

/* Passes over attributes up to '>'. */
static bool skip_attributes(ghee_xml *xml) {
  for (char quote = 0; xml->at < xml->end; xml->at++) {
    char c = *xml->at;
    if (quote) quote = c == quote ? 0 : quote;
    else if (c == '"' || c == '\'') quote = c;
    else if (c == '>') return xml->at++, true;
  }
  return false;
}

static ghee_xml_event open_or_close(ghee_xml *xml) {
  bool close = begins(xml, "</");
  xml->at += close ? 2 : 1;
  if (!read_name(xml)) return GHEE_XML_BAD;
  if (!skip_attributes(xml)) return GHEE_XML_BAD;
  if (close) return xml->depth-- == 0 ? GHEE_XML_BAD : GHEE_XML_CLOSE;
  xml->closing = xml->at[-2] == '/';
  xml->depth++;
  ghee_buffer_clear(&xml->text);
  return GHEE_XML_OPEN;
}

ghee_xml_event ghee_xml_next(ghee_xml *xml) {
  if (xml->closing) {
    xml->closing = false;
    xml->depth--;
    return GHEE_XML_CLOSE;
  }
  while (xml->at < xml->end && !xml->text.failed) {
    if (begins(xml, "<!--")) {
      if (!skip_behind(xml, "-->")) return GHEE_XML_BAD;
    } else if (begins(xml, "<![CDATA[")) {
      const char *from = xml->at + 9;
      if (!skip_behind(xml, "]]>")) return GHEE_XML_BAD;
      ghee_buffer_put(&xml->text, from, (size_t)(xml->at - 3 - from));
    } else if (begins(xml, "<?") || begins(xml, "<!")) {
      if (!skip_behind(xml, ">")) return GHEE_XML_BAD;
    } else if (*xml->at == '<') {
      return open_or_close(xml);
    } else if (*xml->at == '&') {
      put_entity(xml);
    } else {
      ghee_buffer_put_u8(&xml->text, (uint8_t)*xml->at++);
    }
  }
  return xml->text.failed || xml->depth > 0 ? GHEE_XML_BAD : GHEE_XML_END;
}

bool ghee_xml_find(const void *data, size_t size_bytes, const char *name, char *out, size_t out_bytes) {
  ghee_xml xml;
  ghee_xml_init(&xml, data, size_bytes);
  bool found = false;
  for (ghee_xml_event event; !found && (event = ghee_xml_next(&xml)) <= GHEE_XML_CLOSE;) {
    found = event == GHEE_XML_CLOSE && strcmp(xml.name, name) == 0;
    if (!found) continue;
    size_t n = xml.text.size < out_bytes - 1 ? xml.text.size : out_bytes - 1;
    if (n > 0) memcpy(out, xml.text.data, n);
    out[n] = 0;
  }
  ghee_xml_fini(&xml);
  return found;
}
