"""The heap of an importer: it keeps what is freed, and Arrow takes from it."""

import platform
import subprocess
import sys

PROGRAM = """
import pyarrow as pa
from rutile_kv.env.heap import keep_freed_memory
kept = keep_freed_memory()
print(kept, pa.default_memory_pool().backend_name if kept else "", pa.array(range(100_000)).nbytes)
"""


def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    printed = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout.split()
    is_glibc = platform.libc_ver()[0] == "glibc"
    assert printed == (["True", "system", "800000"] if is_glibc else ["False", "800000"])
