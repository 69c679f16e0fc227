# SPDX-License-Identifier: Apache-2.0
"""Where the C headers are: `cc -O2 -shared -fPIC -I "$(python -m ghee.include)" mine.c -o libmine.so`."""
import os


def folder():
    """The folder to name with -I: it holds ghee/udf.h."""
    here = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(here, "headers")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(os.path.dirname(here)), "include")


if __name__ == "__main__":
    print(folder())
