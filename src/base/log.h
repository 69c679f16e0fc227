/* SPDX-License-Identifier: Apache-2.0
 * Lines for the job's log. Layers below the programs never print; they log through a sink that the process sets. */
#ifndef GHEE_BASE_LOG_H
#define GHEE_BASE_LOG_H

typedef enum ghee_log_level { GHEE_LOG_DEBUG, GHEE_LOG_INFO, GHEE_LOG_WARN, GHEE_LOG_ERROR } ghee_log_level;
typedef void (*ghee_log_sink)(void *user, ghee_log_level level, const char *line);

/** Until this is called nothing is written anywhere. Process-wide; set before threads start. */
void ghee_log_set(ghee_log_sink sink, void *user, ghee_log_level least);
/** "ghee: LINE" to standard error; of what a process says again and again one line in 15 seconds. */
void ghee_log_to_stderr(ghee_log_level least);
void ghee_log(ghee_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
