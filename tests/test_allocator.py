import subprocess
import sys

import pytest

LARGE = """
import re, sys
from pathlib import Path
from apm_exp.allocator import keep_freed_memory

def resident_mib():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024

if sys.argv[1] == "kept":
    keep_freed_memory()
before = resident_mib()
large = bytearray(b"x") * 2**26
assert resident_mib() - before >= 60
del large
print(resident_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_64_mib_that_are_freed_stay_with_the_process():
    held = {
        how: int(subprocess.check_output([sys.executable, "-c", LARGE, how], text=True))
        for how in ("kept", "given back")
    }
    assert held["kept"] >= 60
    assert held["given back"] <= 4
