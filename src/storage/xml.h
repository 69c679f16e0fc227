/* SPDX-License-Identifier: Apache-2.0
 * Inside storage/: the XML of S3's answers and of Hadoop's configuration, element by element. Attributes, comments and declarations are
 * passed over; namespaces are cut off. Not for XML at large: no DTD, no mixed content. */
#ifndef GHEE_STORAGE_XML_H
#define GHEE_STORAGE_XML_H

#include "base/buffer.h"

typedef enum ghee_xml_event { GHEE_XML_OPEN, GHEE_XML_CLOSE, GHEE_XML_END, GHEE_XML_BAD } ghee_xml_event;

/** Owner: one thread. Borrows the bytes. */
typedef struct ghee_xml {
  const char *at, *end;
  char name[64];        /* of the element that opened or closed */
  ghee_buffer text;     /* at CLOSE: what stood in the element behind its last child, entities decoded */
  bool closing;         /* "<a/>": its CLOSE comes next */
  unsigned depth;
} ghee_xml;

void ghee_xml_init(ghee_xml *xml, const void *data, size_t size_bytes);
void ghee_xml_fini(ghee_xml *xml);
/** BAD: no XML, cut short, or no memory. */
ghee_xml_event ghee_xml_next(ghee_xml *xml);
/** The text of the first element of that name, copied (cut at the size); false where there is none. */
bool ghee_xml_find(const void *data, size_t size_bytes, const char *name, char *out, size_t out_bytes);

#endif
