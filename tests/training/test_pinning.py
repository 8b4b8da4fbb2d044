"""What a process is given before it imports torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

FAULTS = """
import json, os, resource
{prepare}
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    one = np.ones(1 << 24, dtype=np.float32)
    return float(one[0])
step()
before = faults()
for _ in range(5):
    step()
print(json.dumps([faults() - before, os.environ.get("MKL_CBWR"), os.environ.get("GOMP_SPINCOUNT")]))
"""


def measured(prepare: str, **environment: str) -> list[object]:
    names = ("MKL_CBWR", "GOMP_SPINCOUNT")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(prepare=prepare)],
        env=clean | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    found: list[object] = json.loads(done.stdout)
    return found


PREPARE = "from madang.training.pinning import prepare_process; prepare_process()"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is what is set")
def test_memory_that_is_freed_serves_the_next_step() -> None:
    asked_anew, *_ = measured("")
    kept, mkl, spin = measured(PREPARE)
    assert (mkl, spin) == ("AVX2", "10000")
    # 64 MiB five times over, in pages of 4 KiB or, where the system gives them, of 2 MiB.
    assert isinstance(asked_anew, int)
    assert isinstance(kept, int)
    assert asked_anew >= 5 * 32
    assert kept < asked_anew / 4


def test_what_a_person_set_stays() -> None:
    assert measured(PREPARE, MKL_CBWR="COMPATIBLE", GOMP_SPINCOUNT="0")[1:] == ["COMPATIBLE", "0"]
