# SPDX-License-Identifier: Apache-2.0
# The public headers of include/ghee, as far as Python needs them.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>" nogil:
    ctypedef bint c_bool "bool"

cdef extern from "ghee/status.h" nogil:
    ctypedef int ghee_status
    ctypedef struct ghee_error:
        ghee_status status
        char message[4096]
    const char *ghee_status_name(ghee_status)
    ghee_status ghee_error_set(ghee_error *, ghee_status, const char *, ...)

cdef extern from "ghee/arrow.h" nogil:
    struct ArrowSchema:
        const char *format
        const char *name
        const char *metadata
        int64_t flags
        int64_t n_children
        ArrowSchema **children
        ArrowSchema *dictionary
        void (*release)(ArrowSchema *) noexcept
        void *private_data
    struct ArrowArray:
        int64_t length
        int64_t null_count
        int64_t offset
        int64_t n_buffers
        int64_t n_children
        const void **buffers
        ArrowArray **children
        ArrowArray *dictionary
        void (*release)(ArrowArray *) noexcept
        void *private_data

cdef extern from "ghee/batch.h" nogil:
    ctypedef struct ghee_builder
    ghee_status ghee_schema_copy_arrow(const ArrowSchema *, ArrowSchema *, ghee_error *)
    ghee_status ghee_builder_new(ghee_builder **, ghee_error *)
    void ghee_builder_free(ghee_builder *)
    ghee_status ghee_builder_add_fixed(ghee_builder *, const char *, const char *, int64_t, const void *, const void *, int64_t,
                                       const int64_t *, int, void (*)(void *) noexcept, void *, ghee_error *)
    ghee_status ghee_builder_add_bool(ghee_builder *, const char *, int64_t, const uint8_t *, const uint8_t *, ghee_error *)
    ghee_status ghee_builder_begin_text(ghee_builder *, const char *, int, ghee_error *)
    ghee_status ghee_builder_append_text(ghee_builder *, const void *, size_t, ghee_error *)
    ghee_status ghee_builder_append_null(ghee_builder *, ghee_error *)
    ghee_status ghee_builder_end_text(ghee_builder *, ghee_error *)
    ghee_status ghee_builder_add_arrow(ghee_builder *, const char *, ArrowSchema *, ArrowArray *, ghee_error *)
    ghee_status ghee_builder_finish(ghee_builder *, ArrowSchema *, ArrowArray *, ghee_error *)

cdef extern from "ghee/job.h" nogil:
    ctypedef struct ghee_job_source:
        const char *text
        size_t size_bytes
        const char *name
        const char *folder
    ctypedef struct ghee_job_code:
        const char *name
        const void *data
        size_t size_bytes
    ctypedef struct ghee_stage_progress:
        char name[16]
        uint32_t workers
        uint32_t alive
        uint64_t batches
        uint64_t rows_in
        uint64_t rows_out
        double busy
        double starved
        double blocked
        uint64_t deaths
    ctypedef struct ghee_job_progress:
        int phase
        double seconds
        double first_batch_seconds
        double left_seconds
        double fraction
        uint64_t rows_in
        uint64_t rows_out
        int64_t rows_total
        double rows_per_second
        uint32_t epoch
        uint32_t epochs
        uint64_t step
        uint64_t rejected
        int64_t lag
        uint32_t round
        uint32_t n_stages
        ghee_stage_progress stages[3]
        char verdict[512]
    ctypedef struct ghee_job_hooks:
        void (*progress)(void *, const ghee_job_progress *) noexcept
        void (*line)(void *, const char *) noexcept
        int (*interrupted)(void *) noexcept
        void *user
    ctypedef struct ghee_job_host:
        void (*start)(void *, const char *, const char *const *) noexcept
        void (*stop)(void *) noexcept
        void *user
    ctypedef struct ghee_job_options:
        ghee_job_source source
        const char *name
        const ghee_job_code *code
        size_t n_code
        const char *const *python
        int64_t limit_rows
        const ghee_job_host *host
        ghee_job_hooks hooks
    ctypedef struct ghee_job_result:
        ghee_job_progress progress
        char *name
        char *folder
        char *output_uri
        char *value_path
    void ghee_job_result_fini(ghee_job_result *)
    ghee_status ghee_job_check(const ghee_job_source *, char **, ghee_error *)
    ghee_status ghee_job_explain(const ghee_job_source *, c_bool, char **, ghee_error *)
    ghee_status ghee_job_run(const ghee_job_options *, ghee_job_result *, ghee_error *)
    ghee_status ghee_job_resume(const char *, const ghee_job_hooks *, ghee_job_result *, ghee_error *)
    ghee_status ghee_job_cancel(const char *, ghee_error *)
    ghee_status ghee_job_status(const char *, c_bool, char **, ghee_error *)
    ghee_status ghee_job_progress_text(const ghee_job_progress *, unsigned, char **, ghee_error *)
    ghee_status ghee_job_result_text(const ghee_job_result *, c_bool, char **, ghee_error *)
    ghee_status ghee_job_logs(const char *, const char *, size_t, char **, ghee_error *)
    ghee_status ghee_output_verify(const char *, c_bool, char **, ghee_error *)
    void ghee_text_free(char *)

cdef extern from "ghee/worker.h" nogil:
    ctypedef struct ghee_worker
    ctypedef struct ghee_worker_batch:
        const ArrowSchema *schema
        ArrowArray *array
        uint32_t epoch
        uint32_t chunk
        uint32_t seq
        const char *uri
        uint64_t row
    ctypedef struct ghee_worker_ops:
        ghee_status (*call)(void *, ghee_worker *, ghee_worker_batch *, ArrowSchema *, ArrowArray *, ghee_error *) noexcept
        ghee_status (*train)(void *, ghee_worker *, const char *, ghee_error *) noexcept
    ctypedef struct ghee_train_info:
        uint32_t rank
        uint32_t world
        uint32_t epoch
        uint32_t epochs
        uint64_t step
        const char *state_path
        const char *rendezvous
    ghee_status ghee_worker_open(const char *, const char *, ghee_worker **, ghee_error *)
    void ghee_worker_close(ghee_worker *)
    const char *ghee_worker_run_text(const ghee_worker *)
    const char *ghee_worker_code_path(const ghee_worker *)
    const char *ghee_worker_args_json(const ghee_worker *)
    const char *ghee_worker_form(const ghee_worker *)
    const char *ghee_worker_role(const ghee_worker *)
    const char *ghee_worker_folder(const ghee_worker *)
    int64_t ghee_worker_batch_rows(const ghee_worker *)
    uint32_t ghee_worker_count(const ghee_worker *)
    uint32_t ghee_worker_index(const ghee_worker *)
    ghee_status ghee_worker_fork_server(ghee_worker *, c_bool *, ghee_error *)
    ghee_status ghee_worker_set_index(ghee_worker *, uint32_t, ghee_error *)
    ghee_status ghee_worker_report(ghee_worker *, const ghee_error *, ghee_error *)
    ghee_status ghee_worker_run(ghee_worker *, const ghee_worker_ops *, void *, ghee_error *)
    void ghee_worker_end(ghee_worker *)
    void ghee_worker_exit(ghee_worker *, ghee_status)
    ghee_status ghee_worker_reject(ghee_worker *, const int64_t *, size_t, const char *, ghee_error *)
    void ghee_worker_copy_inputs(ghee_worker *)
    ghee_status ghee_train_begin(ghee_worker *, ghee_train_info *, ghee_error *)
    ghee_status ghee_train_epoch(ghee_worker *, uint32_t *, ghee_error *)
    ghee_status ghee_train_next(ghee_worker *, ArrowSchema *, ArrowArray *, c_bool *, ghee_error *)
    ghee_status ghee_train_checkpoint_path(ghee_worker *, char *, size_t, ghee_error *)
    ghee_status ghee_train_checkpoint_commit(ghee_worker *, ghee_error *)
    ghee_status ghee_train_log(ghee_worker *, const char *, double, ghee_error *)
