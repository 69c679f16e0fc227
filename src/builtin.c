/* SPDX-License-Identifier: Apache-2.0
 * The only place that names every backend. */
#include "storage/object_store.h"
#include "storage/record_log.h"

__attribute__((constructor)) static void register_backends(void) {
  ghee_object_store_register(&ghee_object_store_file);
  ghee_object_store_register(&ghee_object_store_s3);
  ghee_object_store_register(&ghee_object_store_hdfs);
  ghee_record_log_register(&ghee_record_log_file);
  ghee_record_log_register(&ghee_record_log_kafka);
}
