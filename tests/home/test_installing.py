"""What training needs is installed beside the server, and never outlives it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from madang.home.installing import Installing


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return text.strip()
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_runs_the_command_at_the_lowest_priority(tmp_path: Path) -> None:
    said = tmp_path / "a file"
    installing = Installing(f"sh -c 'nice > \"{said}\"'")
    installing.start()
    assert wait_for(said) == "19"
    installing.close()


def test_ends_the_command_and_what_it_started(tmp_path: Path) -> None:
    said = tmp_path / "child"
    installing = Installing(f"sh -c 'sleep 600 & echo $! > \"{said}\"; wait'")
    installing.start()
    child = int(wait_for(said))
    installing.close()
    deadline = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(child)


def test_a_command_that_is_not_there_harms_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    installing = Installing("no-such-command-anywhere")
    installing.start()
    installing.close()
    installing.close()
    assert "Traceback" not in capfd.readouterr().err


def test_an_empty_command_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        Installing("  ")
