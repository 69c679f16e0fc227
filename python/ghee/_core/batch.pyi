# SPDX-License-Identifier: Apache-2.0
from typing import Any

FIXED: dict[str, str]

def fixed_type(kind: str) -> Any: ...
def arrow_format(name: bytes, values: Any, was: str) -> bytes: ...

class Arrays:
    writable: bool
