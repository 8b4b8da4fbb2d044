"""The installer, run for real in a small checkout of its own, without a network."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "{version}"
"""
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("tiny.pth", "src")
        metadata = "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1"
        wheel.writestr("tiny-1.dist-info/METADATA", metadata)
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    return name
"""


def make_wheel(folder: Path, name: str, version: str, requires: str = "") -> str:
    """Write a wheel with one module, and return its line of a lock."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in {
            f"{name}.py": f"version = {version!r}\n",
            f"{info}/METADATA": (
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}{requires}"
            ),
            f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any",
            f"{info}/RECORD": f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n",
        }.items():
            # Without a time of its own, the same wheel always has the same hash.
            wheel.writestr(zipfile.ZipInfo(file), content)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}=={version} --hash=sha256:{digest}\n"


@dataclass(frozen=True)
class Checkout:
    """A checkout whose packages lie in a folder beside it."""

    root: Path
    wheels: Path

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-I", str(self.root / "tools" / "install.py")]

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        return kept | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
        }

    def install(self, job: str = "run", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, job],
            env=self.environment | environment,
            cwd=self.root.parent,
            capture_output=True,
            text=True,
            check=False,
        )

    def version(self, module: str) -> str:
        """Return what the environment itself says when it imports the module."""
        done = subprocess.run(
            [self.root / ".venv/bin/python", "-c", f"import {module}; print({module}.version)"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def lock(self, name: str, *lines: str) -> None:
        (self.root / "requirements" / f"{name}.txt").write_text("".join(lines))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Install once; each test works on this one environment and leaves it whole."""
    root = tmp_path_factory.mktemp("some place") / "mad ang"
    checkout = Checkout(root, tmp_path_factory.mktemp("wheels"))
    for folder in ("tools", "requirements", "src"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "install.py", root / "tools")
    (root / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(PYPROJECT.format(version=1))
    checkout.lock("core", make_wheel(checkout.wheels, "core", "1"))
    checkout.lock("weights", make_wheel(checkout.wheels, "weights", "1"))
    checkout.lock("build")
    checkout.lock("test", make_wheel(checkout.wheels, "exams", "1"))
    checkout.lock("train", make_wheel(checkout.wheels, "torch", "1"))
    checkout.lock("torch-cpu", "torch==1+cpu --hash=sha256:" + "0" * 64 + "\n")
    checkout.lock("cuda", make_wheel(checkout.wheels, "driver", "1"))
    checkout.lock("cluster", make_wheel(checkout.wheels, "rays", "1"))
    done = checkout.install()
    assert done.returncode == 0, done.stderr
    assert "Installed in" in done.stdout
    return checkout


@pytest.fixture
def checkout(installed: Checkout) -> Iterator[Checkout]:
    """Hand on the checkout, and put its locks back afterwards."""
    locks = {path: path.read_bytes() for path in (installed.root / "requirements").iterdir()}
    yield installed
    for path, content in locks.items():
        path.write_bytes(content)


def test_installs_in_a_path_with_spaces(checkout: Checkout) -> None:
    assert checkout.version("core") == "1"
    assert checkout.version("weights") == "1"


def test_a_second_call_says_nothing_and_touches_nothing(checkout: Checkout) -> None:
    before = {path: path.stat().st_mtime_ns for path in (checkout.root / ".venv").iterdir()}
    done = checkout.install(PIP_FIND_LINKS="/nowhere", PATH="/nowhere")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_changed_lock_is_installed(checkout: Checkout) -> None:
    line = make_wheel(checkout.wheels, "core", "2")
    checkout.lock("core", line)
    assert checkout.install().returncode == 0
    assert checkout.version("core") == "2"
    checkout.lock("core", make_wheel(checkout.wheels, "core", "1"))
    assert checkout.install().returncode == 0
    assert checkout.version("core") == "1"


def test_a_failure_leaves_what_stood_before(checkout: Checkout) -> None:
    checkout.lock("core", make_wheel(checkout.wheels, "core", "3")[:-9] + "00000000\n")
    done = checkout.install()
    assert done.returncode == 1
    assert "not the one that the lock names" in done.stderr
    assert "Traceback" not in done.stderr
    assert checkout.version("core") == "1"


def test_a_package_that_is_missing_is_named_as_such(checkout: Checkout) -> None:
    checkout.lock("core", "absent==1 --hash=sha256:" + "0" * 64 + "\n")
    done = checkout.install()
    assert done.returncode == 1
    assert "no ready-made package for this system" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_network_is_one_sentence(checkout: Checkout) -> None:
    checkout.lock("core", make_wheel(checkout.wheels, "core", "4"))
    closed = "http://127.0.0.1:9"
    done = checkout.install(
        PIP_NO_INDEX="0", PIP_FIND_LINKS="", PIP_INDEX_URL=closed, PIP_RETRIES="1"
    )
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_training_is_installed_when_it_is_asked_for(checkout: Checkout) -> None:
    done = checkout.install("train")
    assert done.returncode == 0, done.stderr
    assert "300 MB to download" in done.stdout
    assert checkout.version("torch") == "1"
    # This build asks for no CUDA libraries.
    assert checkout.version("driver") == ""
    assert checkout.install("train", PIP_FIND_LINKS="/nowhere").stdout == ""


def test_tests_are_a_layer_of_their_own(checkout: Checkout) -> None:
    assert checkout.version("exams") == ""
    done = checkout.install("test")
    assert done.returncode == 0, done.stderr
    assert checkout.version("exams") == "1"
    assert checkout.install("test").stdout == ""


def test_a_cuda_build_brings_its_libraries(checkout: Checkout) -> None:
    line = make_wheel(checkout.wheels, "torch", "2", "\nRequires-Dist: nvidia-nccl-cu13==1")
    checkout.lock("train", line)
    assert checkout.install("train").returncode == 0
    assert (checkout.version("torch"), checkout.version("driver")) == ("2", "1")


@pytest.mark.skipif(
    (sys.platform, platform.machine(), sys.version_info[:2]) != ("linux", "x86_64", (3, 11)),
    reason="the lock knows no CPU build of PyTorch for this machine",
)
def test_the_small_build_is_taken_where_there_is_one(checkout: Checkout) -> None:
    plain = make_wheel(checkout.wheels, "torch", "3", "\nRequires-Dist: nvidia-nccl-cu13==1")
    checkout.lock("train", plain)
    checkout.lock("torch-cpu", make_wheel(checkout.wheels, "torch", "3+cpu"))
    assert checkout.install("train").returncode == 0
    assert checkout.version("torch") == "3+cpu"


def test_training_that_was_cut_off_leaves_the_rest_in_use(checkout: Checkout) -> None:
    assert checkout.install("train").returncode == 0
    mark = checkout.root / ".venv" / "unfinished-training"
    mark.touch()
    # Packages that were written in part look installed.
    module = next((checkout.root / ".venv").glob("lib/python*/site-packages/torch.py"))
    module.write_text("broken")
    assert checkout.install("run", PIP_FIND_LINKS="/nowhere").stdout == ""
    assert checkout.install("train").returncode == 0
    assert checkout.version("torch") != ""
    assert not mark.exists()


def test_an_install_that_was_killed_is_repaired(checkout: Checkout) -> None:
    checkout.lock("core", make_wheel(checkout.wheels, "core", "5"))
    running = subprocess.Popen(
        [*checkout.command, "run"],
        env=checkout.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline().startswith("Installing")
    time.sleep(0.3)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    done = checkout.install()
    assert done.returncode == 0, done.stderr
    assert checkout.version("core") == "5"
    checkout.lock("core", make_wheel(checkout.wheels, "core", "1"))
    assert checkout.install().returncode == 0


def test_two_at_once_do_not_disturb_each_other(checkout: Checkout) -> None:
    checkout.lock("core", make_wheel(checkout.wheels, "core", "6"))
    both = [
        subprocess.Popen(
            [*checkout.command, "run"], env=checkout.environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum("Installed in" in words for words in said) == 1
    assert checkout.version("core") == "6"


def test_a_checkout_that_moved_is_installed_anew(checkout: Checkout) -> None:
    moved = Checkout(checkout.root.with_name("moved here"), checkout.wheels)
    checkout.root.rename(moved.root)
    try:
        done = moved.install()
        assert done.returncode == 0, done.stderr
        assert "Making the virtual environment" in done.stdout
        assert moved.version("core") == "1"
    finally:
        moved.root.rename(checkout.root)
