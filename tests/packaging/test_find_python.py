"""Which Python is taken, and what is said where none will do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "find_python.sh"
SHELL = shutil.which("sh") or "/bin/sh"

# Stands in for a Python of another machine: answers the probe as that one would.
STAND_IN = """#!/bin/sh
case "$*" in
  *'%d.%d.%d'*) echo {version} ;;
  *) exit {status} ;;
esac
"""
GOOD, TOO_OLD, WITHOUT_ENSUREPIP, NOT_THERE = 0, 3, 4, 127


def find(folder: Path, *, python: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(folder)} | ({"PYTHON": python} if python else {})
    return subprocess.run(
        [SHELL, str(SCRIPT)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def put(folder: Path, name: str, status: int, version: str = "3.9.2") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(STAND_IN.format(status=status, version=version))
    path.chmod(0o755)
    return path


def test_the_python_of_this_test_is_taken(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    found = find(tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.strip() == str(tmp_path / "python3")


def test_a_newer_one_is_taken_where_python3_is_too_old(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    put(folder, "python3", TOO_OLD)
    put(folder, "python3.13", NOT_THERE)
    newer = put(folder, "python3.12", GOOD)
    assert find(folder).stdout.strip() == str(newer)


def test_the_one_of_the_environment_is_taken_first(tmp_path: Path) -> None:
    put(tmp_path, "python3", GOOD)
    put(tmp_path / ".venv" / "bin", "python", GOOD)
    assert find(tmp_path).stdout.strip() == ".venv/bin/python"


def test_an_environment_that_lost_its_python_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(tmp_path / "absent")
    python = put(tmp_path, "python3", GOOD)
    assert find(tmp_path).stdout.strip() == str(python)


def test_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    put(tmp_path / "bin", "python3", GOOD)
    named = put(tmp_path / "else where", "python", GOOD)
    assert find(tmp_path / "bin", python=str(named)).stdout.strip() == str(named)


def test_the_one_that_is_named_is_not_replaced_by_another(tmp_path: Path) -> None:
    put(tmp_path, "python3", GOOD)
    found = find(tmp_path, python="/absent/python3")
    assert found.returncode == 1
    assert "/absent/python3 was not found or does not start" in found.stderr


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (TOO_OLD, "Madang needs Python 3.11 or newer, and python3 is 3.9.2"),
        (WITHOUT_ENSUREPIP, "apt install python3-venv"),
        (None, "python3 was not found or does not start"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path: Path, status: int | None, said: str) -> None:
    if status is not None:
        put(tmp_path, "python3", status)
    found = find(tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1
