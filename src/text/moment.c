/* SPDX-License-Identifier: Apache-2.0
 * Dates and times from text. */
#include "text/moment.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Exactly n digits. */
static bool read_digits(const char **at, int n, int least, int most, int *out) {
  int number = 0;
  for (int i = 0; i < n; i++, (*at)++) {
    if (!is_digit(**at)) return false;
    number = number * 10 + (**at - '0');
  }
  *out = number;
  return number >= least && number <= most;
}

static bool read_mark(const char **at, char mark) {
  if (**at != mark) return false;
  (*at)++;
  return true;
}

/* Days since 1970 of the Gregorian calendar: whole years of 365 days and a leap day each that divides, then the months. */
static bool read_date(const char **at, int64_t *out_days) {
  static const int months[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int year, month, day;
  if (!read_digits(at, 4, 1, 9999, &year) || !read_mark(at, '-') || !read_digits(at, 2, 1, 12, &month) || !read_mark(at, '-') ||
      !read_digits(at, 2, 1, 31, &day))
    return false;
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (day > months[month - 1] + (leap && month == 2)) return false;
  int64_t before = year - 1, days = before * 365 + before / 4 - before / 100 + before / 400 - 719162 + day - 1;
  for (int m = 1; m < month; m++) days += months[m - 1] + (leap && m == 2);
  *out_days = days;
  return true;
}

static bool read_fraction(const char **at, int64_t *out_ns) {
  int64_t ns = 0, unit = GHEE_NS_PER_SECOND;
  if (!is_digit(**at)) return false;
  for (; is_digit(**at); (*at)++) {
    unit /= 10;
    if (unit == 0) return false;
    ns += (**at - '0') * unit;
  }
  *out_ns = ns;
  return true;
}

static bool read_time(const char **at, int64_t *out_ns) {
  int hour, minute, second = 0;
  int64_t fraction = 0;
  if (!read_digits(at, 2, 0, 23, &hour) || !read_mark(at, ':') || !read_digits(at, 2, 0, 59, &minute)) return false;
  if (read_mark(at, ':')) {
    if (!read_digits(at, 2, 0, 59, &second)) return false;
    if (read_mark(at, '.') && !read_fraction(at, &fraction)) return false;
  }
  *out_ns = (hour * 3600 + minute * 60 + second) * GHEE_NS_PER_SECOND + fraction;
  return true;
}

/* Z, +02:00: by how much the clock is ahead. */
static bool read_offset(const char **at, int64_t *out_ns) {
  int hour, minute;
  *out_ns = 0;
  if (read_mark(at, 'Z') || read_mark(at, 'z')) return true;
  int sign = **at == '-' ? -1 : 1;
  if (!read_mark(at, '+') && !read_mark(at, '-')) return false;
  if (!read_digits(at, 2, 0, 23, &hour) || !read_mark(at, ':') || !read_digits(at, 2, 0, 59, &minute)) return false;
  *out_ns = sign * (hour * 3600 + minute * 60) * GHEE_NS_PER_SECOND;
  return true;
}

bool ghee_moment_parse(const char *text, ghee_moment *out) {
  int64_t days, time = 0, offset = 0;
  ghee_moment moment = {0};
  if (!read_date(&text, &days)) return false;
  if (*text) {
    moment.has_time = true;
    if ((!read_mark(&text, ' ') && !read_mark(&text, 'T') && !read_mark(&text, 't')) || !read_time(&text, &time)) return false;
  }
  if (*text) {
    moment.has_offset = true;
    if (!read_offset(&text, &offset) || *text) return false;
  }
  moment.ns = (ghee_int128)days * GHEE_NS_PER_DAY + time - offset;
  *out = moment;
  return true;
}
