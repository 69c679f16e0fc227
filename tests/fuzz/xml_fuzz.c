/* SPDX-License-Identifier: Apache-2.0
 * Answers of an S3 server: any bytes end in END or BAD, elements close as often as they open. */
#include <stdlib.h>
#include <string.h>

#include "storage/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ghee_xml xml;
  ghee_xml_event event;
  long open = 0;
  char text[8];
  ghee_xml_init(&xml, data, size);
  while ((event = ghee_xml_next(&xml)) <= GHEE_XML_CLOSE) {
    open += event == GHEE_XML_OPEN ? 1 : -1;
    if (open < 0 || open != (long)xml.depth || strlen(xml.name) == 0) abort();
  }
  if (event == GHEE_XML_END && open != 0) abort();
  ghee_xml_fini(&xml);
  if (ghee_xml_find(data, size, "Code", text, sizeof text) && strlen(text) >= sizeof text) abort();
  return 0;
}
