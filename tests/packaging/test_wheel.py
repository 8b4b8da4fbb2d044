"""The wheel holds all that the package needs, and a home opens from it alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the build backend is not installed; run `make test`")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the backend that is locked, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = ROOT / "src"
    files = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - names == set()
    assert {
        "madang/py.typed",
        "madang/server/page/messages/en.json",
        "madang/server/page/messages/ko.json",
        "madang/samples/town/posts.jsonl",
        "madang/samples/town/examples.json",
    } <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_sample_is_read_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import madang; assert madang.__file__.startswith(sys.argv[1]), madang.__file__\n"
        "from madang.home import Home, ingest_sample\n"
        "with Home(sys.argv[2]) as home:\n"
        "    print(ingest_sample(home).written)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(site), str(tmp_path / "home")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 400
