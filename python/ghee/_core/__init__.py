# SPDX-License-Identifier: Apache-2.0
"""The C library as Python sees it: batches as NumPy arrays, jobs, and the inside of a worker. Thin; the pleasant side is above."""
