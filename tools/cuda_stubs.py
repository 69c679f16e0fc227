# SPDX-License-Identifier: Apache-2.0
"""Build empty stand-ins for the CUDA libraries that a CUDA build of torch links, so that it loads on a machine
without them. CPU work and gloo only: any CUDA call aborts with its name. usage: PYTHON-OF-THE-VENV stubs.py"""
import collections
import os
import re
import subprocess
import sys
import sysconfig
import tempfile

lib = os.path.join(sysconfig.get_paths()["purelib"], "torch", "lib")
SYSTEM = re.compile(r"^(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|libgomp|ld-linux.*|libgfortran|libquadmath|libz)\.so")


def out(*cmd):
    return subprocess.run(cmd, capture_output=True, text=True, check=True).stdout


note = os.path.join(lib, "stubs.txt")  # what an earlier run made
if os.path.exists(note):
    for f in open(note).read().split():
        os.remove(os.path.join(lib, f))
    os.remove(note)
mine = [f for f in os.listdir(lib) if ".so" in f and not os.path.islink(os.path.join(lib, f))]
needed, undefined, defined = set(), {}, set()
for f in mine:
    p = os.path.join(lib, f)
    needed |= set(re.findall(r"\(NEEDED\).*\[(.*)\]", out("readelf", "-dW", p)))
    for line in out("nm", "-D", p).splitlines():
        kind, name = line.split()[-2:]
        base, _, version = name.partition("@")
        if kind in "Uwv":
            undefined.setdefault(base, version.strip("@"))
        else:
            defined.add(base)
# Which library a versioned symbol is wanted from: readelf -V.
version_of = {}
for f in mine:
    want = None
    for line in out("readelf", "-VW", os.path.join(lib, f)).splitlines():
        m = re.search(r"File: (\S+)", line)
        want = m.group(1) if m else want
        m = re.search(r"Name: (\S+)\s+Flags", line)
        if m and want:
            version_of[m.group(1)] = want
stub_libs = sorted(n for n in needed if n not in mine and not SYSTEM.match(n))
CUDA = re.compile(r"^(cu|nccl|nvtx|nvrtc|nvml|nvshmem|__cuda|cupti|cudss|nvJitLink|pnccl)|nvshmem")
by_lib = collections.defaultdict(dict)
for name, version in undefined.items():
    if name in defined:
        continue
    owner = version_of.get(version)
    if owner in stub_libs:
        by_lib[owner][name] = version
    elif not version and CUDA.search(name):
        by_lib[stub_libs[0]][name] = ""
total = 0
for so in stub_libs:
    with tempfile.TemporaryDirectory() as d:
        syms = by_lib[so]
        with open(d + "/s.c", "w") as f:
            f.write("#include <stdio.h>\n#include <stdlib.h>\n"
                    "static void no(const char *s) { fprintf(stderr, \"no CUDA here: %s\\n\", s); abort(); }\n")
            for s in syms:
                # What torch calls at import must answer (100 is cudaErrorNoDevice); all else says its name and stops.
                if s.startswith("__cuda"):
                    code = "return 0;"
                elif "String" in s or "ErrorName" in s:
                    code = 'return (long)"no CUDA here";'
                elif s.startswith(("cudaGet", "cuptiG", "cudaFree", "cudaPeek")):
                    code = "return 100;"
                else:
                    code = f'no("{s}"); return 1;'
                f.write(f"long {s}(void) {{ {code} }}\n")
        versions = collections.defaultdict(list)
        for s, v in syms.items():
            versions[v].append(s)
        with open(d + "/s.map", "w") as f:
            for v, names in versions.items():
                if v:
                    f.write(v + " { global: " + " ".join(n + ";" for n in names) + " };\n")
        cmd = ["cc", "-shared", "-fPIC", "-O1", "-w", "-fno-builtin", f"-Wl,-soname,{so}", d + "/s.c", "-o", os.path.join(lib, so)]
        if any(versions):
            cmd.insert(1, f"-Wl,--version-script={d}/s.map")
        subprocess.run(cmd, check=True)
    size = os.path.getsize(os.path.join(lib, so))
    total += size
    print(f"{so:24} {len(syms):5} symbols {size:8} bytes")
open(note, "w").write("\n".join(stub_libs))
print("stubs:", len(stub_libs), "libraries,", total, "bytes")
