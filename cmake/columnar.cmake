# SPDX-License-Identifier: Apache-2.0
# The Rust shim src/format/columnar as one shared object, libghee_columnar.so, behind the C ABI of columnar.h.
