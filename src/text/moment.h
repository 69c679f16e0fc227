/* SPDX-License-Identifier: Apache-2.0
 * Dates and times as text: the profile of ISO 8601 that RFC 3339 describes, the offset and the seconds optional. */
#ifndef GHEE_TEXT_MOMENT_H
#define GHEE_TEXT_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

typedef __int128 ghee_int128;

#define GHEE_NS_PER_SECOND INT64_C(1000000000)
#define GHEE_NS_PER_DAY (86400 * GHEE_NS_PER_SECOND)

/** Nanoseconds since 1970, in UTC where an offset is said, of the proleptic Gregorian calendar. */
typedef struct ghee_moment { ghee_int128 ns; bool has_time, has_offset; } ghee_moment;

/** "2024-02-29", "2024-02-29 12:30:00.5+02:00" (or T, Z, without seconds); years 1 to 9999. false: it is none. */
bool ghee_moment_parse(const char *text, ghee_moment *out);

#endif
