"""Several ranks compute what one computes, and a run may change their number on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from madang.training.files import sha256

pytest.importorskip("torch")


def run(job: str, folder: Path) -> Any:
    script = Path(__file__).with_name("forked.py")
    done = subprocess.run(
        [sys.executable, str(script), job, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_ranks_agree(tmp_path: Path) -> None:
    losses = run("agree", tmp_path)
    for ranks in (2, 4):
        assert losses[f"float64-{ranks}"] == pytest.approx(losses["float64-1"], rel=0, abs=1e-7)
        assert losses[f"float32-{ranks}"] == pytest.approx(losses["float32-1"], rel=0, abs=1e-5)
    assert losses["adapters-2"] == pytest.approx(losses["adapters-1"], rel=0, abs=1e-7)
    assert len(losses["float64-1"]) == 50
    assert losses["float64-1"][-1] < 1.5


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_ranks(tmp_path: Path) -> None:
    losses = run("change", tmp_path)
    for change in ("2-1", "2-4", "4-2", "1-2"):
        assert losses[change] == pytest.approx(losses["whole"], rel=0, abs=1e-7)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    found = run("killed", tmp_path)
    assert (found["kills"], found["ended"]) == (6, 0), found
    one, other = (tmp_path / name / "weights.safetensors" for name in ("whole", "killed"))
    assert sha256(one) == sha256(other)
