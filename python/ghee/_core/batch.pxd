# SPDX-License-Identifier: Apache-2.0
from ghee._core.c cimport ArrowArray, ArrowSchema

cdef class Arrays:
    cdef ArrowSchema schema
    cdef ArrowArray array
    cdef public bint writable
    cdef object __weakref__

cdef Arrays arrays_take(const ArrowSchema *schema, ArrowArray *array, bint writable)
cdef to_numpy(Arrays arrays)
cdef to_capsules(Arrays arrays)
cdef schema_capsule(Arrays arrays)
cdef void from_columns(object columns, Arrays source, object given, ArrowSchema *out_schema, ArrowArray *out) except *
