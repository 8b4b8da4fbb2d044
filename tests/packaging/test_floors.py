"""Imports go down the floors only, and what is imported from outside is a dependency by name."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "madang"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MODULES = sorted(PACKAGE.rglob("*.py"))
EXTRAS = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
DIRECT = {re.split(r"[^\w-]", line)[0].lower() for line in [*PROJECT["dependencies"], *EXTRAS]}
# FastAPI is used through them by design, and pins the versions that go together.
PARTS_OF_FASTAPI = {"starlette", "pydantic", "pydantic-core"}


def floors() -> dict[str, int]:
    """Read the table of floors: room to floor."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)/` \|", page, re.MULTILINE)
    return {room: int(floor) for floor, room in rows}


FLOORS = floors()


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each module that a file imports, as (line, dotted name)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                pytest.fail(f"{path}:{node.lineno}: imports here are absolute")
            assert node.module is not None
            if node.module == "madang":
                yield from ((node.lineno, f"madang.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_the_table_names_the_rooms_that_there_are() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_go_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    if room not in FLOORS:
        pytest.skip("the package's own front stands on no floor")
    wrong = [
        f"{name(path)}:{line} imports {module}"
        for line, module in imported(path)
        if module.startswith("madang.")
        and (other := module.split(".")[1]) in FLOORS
        and other != room
        and FLOORS[other] >= FLOORS[room]
    ]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_what_comes_from_outside_is_a_direct_dependency(path: Path) -> None:
    allowed = DIRECT | PARTS_OF_FASTAPI
    providers = packages_distributions()
    wrong = [
        f"{name(path)}:{line} imports {module}"
        for line, module in imported(path)
        if (top := module.split(".")[0]) not in sys.stdlib_module_names and top != "madang"
        if not allowed & {one.lower().replace("_", "-") for one in providers.get(top, [])}
    ]
    assert wrong == []


def test_every_direct_dependency_is_imported() -> None:
    providers = packages_distributions()
    used = {
        one.lower().replace("_", "-")
        for path in MODULES
        for _, module in imported(path)
        for one in providers.get(module.split(".")[0], [])
    }
    assert DIRECT - used == set()


def test_the_core_is_small_and_every_dependency_has_its_reason() -> None:
    assert len(PROJECT["dependencies"]) < 15
    names = [re.split(r"[^\w-]", line)[0] for line in [*PROJECT["dependencies"], *EXTRAS]]
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    reasons = dict(re.findall(r"^\| ([\w-]+) \| (.+?) \|", page, re.MULTILINE))
    assert [one for one in names if len(reasons.get(one, "")) < 20] == []
