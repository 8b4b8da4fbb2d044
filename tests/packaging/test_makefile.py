"""What `make` hands on to Madang, word for word, in a checkout whose path has a space in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_INSTALLER = "#!/bin/sh\necho true\n"
SAY_ARGUMENTS = '#!/bin/sh\nprintf "%s\\n" "$@"\n'
# Three minutes, and how to install what they need: by the Python that was found.
LEARN = ["--learn", "3", "--learn-install", "'true' -I tools/install.py train"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout where nothing needs installing and madang says what it was told."""
    root = tmp_path / "mad ang"
    (root / "tools").mkdir(parents=True)
    (root / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", root)
    (root / "tools" / "find_python.sh").write_text(NO_INSTALLER)
    (root / ".venv" / "bin" / "madang").write_text(SAY_ARGUMENTS)
    (root / ".venv" / "bin" / "madang").chmod(0o755)
    return root


def make(checkout: Path, *arguments: str, **environment: str) -> list[str]:
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=checkout,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("posts", "files"),
    [
        ("", []),
        ("archive.zip outbox.json", ["archive.zip", "outbox.json"]),
        ("'my archive.zip' outbox.json", ["my archive.zip", "outbox.json"]),
        ('"글 모음.zip"', ["글 모음.zip"]),
    ],
)
def test_posts_are_words_of_the_shell(checkout: Path, posts: str, files: list[str]) -> None:
    assert make(checkout, "up", f"POSTS={posts}") == ["up", "--port", "8080", *LEARN, *files]


def test_port_and_model_are_handed_on(checkout: Path) -> None:
    said = make(checkout, "up", "PORT=8081", "MODEL=my models/one.gguf")
    assert said == ["up", "--port", "8081", *LEARN, "--model", "my models/one.gguf"]


def test_learning_can_be_left_out(checkout: Path) -> None:
    said = make(checkout, "up", "TRAIN=0")
    assert said == ["up", "--port", "8080", "--learn", "0"]
    assert make(checkout, "up", "TRAIN=20")[3:5] == ["--learn", "20"]


def test_variables_of_the_environment_do_not_move_the_port(checkout: Path) -> None:
    said = make(checkout, "up", PORT="1234", MODEL="other", POSTS="other.zip", TRAIN="0")
    assert said == ["up", "--port", "8080", *LEARN]


def test_alone_it_says_what_there_is(checkout: Path) -> None:
    said = "\n".join(make(checkout))
    assert [
        job for job in ("up", "test", "lint", "bench", "clean") if f"make {job} " not in said
    ] == []


def test_clean_leaves_the_posts(checkout: Path) -> None:
    (checkout / ".madang").mkdir()
    (checkout / ".madang" / "posts.db").touch()
    for folder in ("src", "tests", "bench", "samples"):
        (checkout / folder).mkdir()
    make(checkout, "clean")
    assert (checkout / ".madang" / "posts.db").exists()
    assert not (checkout / ".venv").exists()


def test_python_may_keep_compiled_files(checkout: Path) -> None:
    says = checkout / ".venv" / "bin" / "madang"
    says.write_text('#!/bin/sh\necho "${PYTHONDONTWRITEBYTECODE-unset}"\n')
    assert make(checkout, "up", PYTHONDONTWRITEBYTECODE="1") == ["unset"]
