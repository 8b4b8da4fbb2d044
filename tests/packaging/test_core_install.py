"""What serves and answers runs without the packages that only training needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = sorted(
    re.split(r"[^\w-]", line)[0].lower()
    for lines in PROJECT["optional-dependencies"].values()
    for line in lines
)
# Importing one of them fails as it does where the extra is not installed.
WITHOUT = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ["madang", "madang.cli", "madang.server", "madang.engines"])
def test_imports_without_the_extras(module: str) -> None:
    done = run(f"import {module}")
    assert done.returncode == 0, done.stderr


def test_answers_without_the_extras(tmp_path: Path) -> None:
    code = """
import madang, pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "posts.jsonl").write_text('{"id": "1", "text": "The bakery opens at seven."}')
with madang.Home(folder / "home") as home:
    home.ingest(folder / "posts.jsonl")
    assert home.search("bakery").hits
"""
    done = run(code, str(tmp_path))
    assert done.returncode == 0, done.stderr
