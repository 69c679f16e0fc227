/* SPDX-License-Identifier: Apache-2.0
 * For tests: bytes as a file of gzip or zstd, in blocks that hold them as they are. */
#ifndef GHEE_FORMAT_PACKED_SAMPLE_H
#define GHEE_FORMAT_PACKED_SAMPLE_H

#include "base/buffer.h"

enum { PACKED_BLOCK = 60000 };

static inline uint32_t packed_crc(const uint8_t *data, size_t size) {
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

/** Appends one member; a file may have several. */
static inline void packed_gzip(const void *data, size_t size, ghee_buffer *out) {
  static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
  ghee_buffer_put(out, head, sizeof head);
  for (size_t at = 0, n;; at += n) {
    n = size - at < PACKED_BLOCK ? size - at : PACKED_BLOCK;
    uint16_t lengths[2] = {(uint16_t)n, (uint16_t)~n};
    ghee_buffer_put_u8(out, at + n == size);
    ghee_buffer_put(out, lengths, 4);
    ghee_buffer_put(out, (const uint8_t *)data + at, n);
    if (at + n == size) break;
  }
  ghee_buffer_put_u32(out, packed_crc(data, size));
  ghee_buffer_put_u32(out, (uint32_t)size);
}

/** Appends one frame; a file may have several. */
static inline void packed_zstd(const void *data, size_t size, ghee_buffer *out) {
  static const uint8_t head[6] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0x58};
  ghee_buffer_put(out, head, sizeof head);
  for (size_t at = 0, n;; at += n) {
    n = size - at < PACKED_BLOCK ? size - at : PACKED_BLOCK;
    uint32_t block = (uint32_t)(n << 3) | (at + n == size);
    ghee_buffer_put(out, &block, 3);
    ghee_buffer_put(out, (const uint8_t *)data + at, n);
    if (at + n == size) break;
  }
}

#endif
