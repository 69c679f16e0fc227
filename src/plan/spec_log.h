/* SPDX-License-Identifier: Apache-2.0
 * Inside plan/: the keys of an input that is a record log, and the options of a storage. */
#ifndef GHEE_PLAN_SPEC_LOG_H
#define GHEE_PLAN_SPEC_LOG_H

#include "plan/spec.h"
#include "text/json.h"

/** Whether `input` is a record log: its scheme is one's, or `from` or `to` say so. The URIs are read already. */
bool ghee_spec_is_log(const ghee_job_spec *spec, const ghee_node *input);
/** format, from, to, metadata, metadata_prefix. */
ghee_status ghee_spec_read_log(ghee_job_spec *spec, const ghee_node *input, ghee_error *err);
/** format of an output that is a topic. */
ghee_status ghee_spec_read_output_log(ghee_job_spec *spec, const ghee_node *output, ghee_error *err);
/** `options` of an input or output. Secrets in clear are refused. */
ghee_status ghee_spec_read_options(const ghee_node *map, ghee_settings *out, ghee_error *err);
/** Rows and dead letters are committed together: both to files, or both to topics of the same brokers. Sets dead_letter_log. */
ghee_status ghee_spec_check_dead_letter(ghee_job_spec *spec, const ghee_node *dead_letter, ghee_error *err);
void ghee_spec_put_log(ghee_json *json, const ghee_job_spec *spec);
void ghee_spec_put_options(ghee_json *json, const ghee_settings *settings);
void ghee_log_bound_fini(ghee_log_bound *bound);

#endif
