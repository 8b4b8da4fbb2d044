"""The lock: everything by hash, nothing of the place where it was made."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"^([a-z0-9][a-z0-9-]*)==[\w.+]+( ; [^\\]+)?( \\)?$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pinned(path: Path) -> set[str]:
    lines = path.read_text("utf-8").splitlines()
    return {found[1] for line in lines if (found := PINNED.match(line))}


def test_libraries_for_cuda_stand_in_a_lock_of_their_own() -> None:
    """Elsewhere they are gigabytes that nothing loads."""
    for path in LOCKS:
        found = {one for one in pinned(path) if one.startswith(("nvidia-", "cuda-", "triton"))}
        assert bool(found) == (path.stem == "cuda"), path.name


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_line_is_a_version_or_its_hash(path: Path) -> None:
    first, *lines = path.read_text("utf-8").splitlines()
    assert first == "# Made by 'make lock' from pyproject.toml."
    assert [one for one in lines if not PINNED.match(one) and not HASH.match(one)] == []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if PINNED.match(line):
            assert HASH.match(following), f"{line} has no hash"


def test_the_lock_holds_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    def names(lines: list[str]) -> set[str]:
        return {re.split(r"[^\w-]", line)[0].lower().replace("_", "-") for line in lines}

    groups = project["dependency-groups"]
    assert names(project["project"]["dependencies"]) <= pinned(ROOT / "requirements/core.txt")
    assert names(project["build-system"]["requires"]) <= pinned(ROOT / "requirements/build.txt")
    assert names(groups["test"] + groups["lint"]) <= pinned(ROOT / "requirements/test.txt")
    extras = project["project"]["optional-dependencies"]
    assert names(extras["train"]) <= pinned(ROOT / "requirements/train.txt")
    assert names(extras["cluster"]) <= pinned(ROOT / "requirements/cluster.txt")
    assert names(groups["bench-train"]) <= pinned(ROOT / "requirements/bench-train.txt")
    assert names(groups["bench"]) <= pinned(ROOT / "requirements/bench.txt")


def test_locks_agree_where_they_name_the_same_package() -> None:
    versions: dict[str, set[str]] = {}
    for path in LOCKS:
        # These have no one version for all Pythons.
        split = r"^(numpy|networkx)==.*$"
        text = re.sub(split, "", path.read_text("utf-8"), flags=re.MULTILINE)
        # A build's label is no other version.
        text = text.replace("+cpu", "")
        for package, version in re.findall(r"^([a-z0-9-]+)==([\w.+]+)", text, re.MULTILINE):
            versions.setdefault(package, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("this is not a git checkout")
    return [ROOT / one for one in done.stdout.split("\0") if one and (ROOT / one).is_file()]


def test_no_file_names_a_machine_or_a_registry() -> None:
    """A path or an address of the place where a file was written is of no use anywhere else."""
    places = re.compile(
        rb"(?<![\w./-])/(?:home|root|Users|workspace|builds|mnt|work|srv)/[\w.-]+"
        rb"|--(?:extra-)?index-url|--find-links|//[\w.-]+/simple\b|file:///(?:home|root|opt|mnt|srv|work)/"
    )
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        content = path.read_bytes()
        if b"\0" in content[:8192]:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line[:120].decode('utf-8', 'replace')}"
            for number, line in enumerate(content.splitlines(), 1)
            if places.search(line)
        ]
    assert found == []
