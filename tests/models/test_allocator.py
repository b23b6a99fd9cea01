import subprocess
import sys

import pytest

LARGE = """
import re
from pathlib import Path
from apm_exp.models.allocator import freed_memory_kept

def resident_mib():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024

def after_use():
    large = bytearray(b"x") * 2**26
    assert resident_mib() - before >= 60
    del large
    return resident_mib() - before

before = resident_mib()
print(after_use())
with freed_memory_kept():
    print(after_use())
print(resident_mib() - before)
print(after_use())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_64_mib_that_are_freed_stay_with_the_process_in_the_block_alone():
    held = subprocess.check_output([sys.executable, "-c", LARGE], text=True)
    before, inside, left, after = map(int, held.split())
    assert inside >= 60
    assert max(before, left, after) <= 4
