"""Training from the command line: its own process, its own streams, fixed fields."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_verbs import SAMPLE, fails, json_of, madang

pytest.importorskip("torch", reason="training needs the extra `train`")

SMALL = (
    *("--steps", "6", "--width", "64", "--layers", "2", "--vocabulary", "512"),
    *("--length", "64", "--batch", "4", "--threads", "1", "--seed", "3"),
)
GRANT = ("--grant", "search,ground,embed,train,export", "--basis", "written as a sample")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("배우는 마당")
    assert madang(folder, "ingest", str(SAMPLE), *GRANT).returncode == 0
    return folder


@pytest.fixture(scope="module")
def trained(home: Path) -> dict[str, Any]:
    """What `train --json` said of a run that was not published."""
    return json_of(madang(home, "train", *SMALL, "--name", "one", "--no-publish", "--json"))


@pytest.fixture(scope="module")
def released(home: Path, trained: dict[str, Any]) -> dict[str, Any]:
    return json_of(
        madang(home, "release", "one", "--name", "town-1", "--format", "gguf-q8_0", "--json")
    )


def test_train_ends_with_one_object(trained: dict[str, Any]) -> None:
    assert list(trained) == [
        "run",
        "release",
        "parameters",
        "steps",
        "tokens",
        "useful_tokens_per_second",
        "peak_share",
        "seconds",
        "bits_per_byte",
    ]
    assert (trained["run"], trained["steps"], trained["tokens"]) == ("one", 6, 6 * 4 * 64)
    for kind in ("future", "general"):
        assert set(trained["bits_per_byte"][kind]) == {"before", "after"}


def test_runs_are_listed_and_compared(home: Path, trained: dict[str, Any]) -> None:
    words = ("train", *SMALL[2:], "--steps", "3", "--name", "two", "--no-publish")
    done = madang(home, *words)
    assert done.returncode == 0 and done.stdout == ""
    assert "steps" in done.stderr and "madang release two" in done.stderr
    assert "\x1b" not in done.stderr
    listed = json_of(madang(home, "runs", "--json"))["runs"]
    assert [one["run"] for one in listed][:2] == ["two", "one"]
    assert listed[1]["steps"] == 6 and listed[1]["state"] == "finished"
    assert json_of(madang(home, "runs", "list", "--json"))["runs"] == listed
    told = json_of(madang(home, "runs", "compare", "one", "two", "--json"))
    assert told["differences"]["steps"] == [6, 3]
    assert "steps" in madang(home, "runs", "compare", "one", "two").stdout
    assert "two runs or more" in fails(madang(home, "runs", "compare", "one"))
    assert "no run 'three'" in fails(madang(home, "runs", "compare", "one", "three"))


def test_a_release_says_what_was_checked(home: Path, released: dict[str, Any]) -> None:
    assert list(released) == ["release", "path", "files", "checks"]
    assert released["release"] == "town-1"
    assert (Path(released["path"]) / "model-q8_0.gguf").is_file()
    assert released["checks"] and all(
        set(one) == {"ok", "value"} for one in released["checks"].values()
    )
    assert all(one["ok"] for one in released["checks"].values())
    listed = json_of(madang(home, "releases", "--json"))
    assert [one["name"] for one in listed["releases"]] == ["town-1"]
    answer = json_of(madang(home, "ask", "hello there", "--model", "town-1", "--json"))
    assert answer["engine"] == "town-1"
    assert "already" in fails(madang(home, "release", "one", "--name", "town-1"))


def test_steps_and_posts_find_each_other(home: Path, trained: dict[str, Any]) -> None:
    told = json_of(madang(home, "corpus", "which", "--run", "one", "--step", "1", "--json"))
    assert (told["run"], told["step"]) == ("one", 1) and told["posts"]
    post = told["posts"][0]["post"]
    runs = json_of(madang(home, "corpus", "where", post, "--json"))["runs"]
    assert {one["run"]: one for one in runs}["one"]["steps"][0] == 1
    assert post in madang(home, "corpus", "which", "--run", "one", "--step", "1").stdout
    assert "one: steps 1" in madang(home, "corpus", "where", post).stdout
    assert "no run" in madang(home, "corpus", "where", "town:nowhere").stderr
    assert "not 7" in fails(madang(home, "corpus", "which", "--run", "one", "--step", "7"))


def test_the_corpus_counts_what_it_decided(home: Path) -> None:
    built = json_of(madang(home, "corpus", "build", "--json"))
    assert list(built) == ["folder", "fingerprint", "counts"]
    assert Path(built["folder"]).name == built["fingerprint"]


def test_a_plan_is_printed_with_its_reasons_and_nothing_is_trained(home: Path) -> None:
    before = json_of(madang(home, "runs", "--json"))
    done = madang(home, "train", "--minutes", "2", "--width", "128", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "set by hand" in done.stdout and "measured here" in done.stdout
    plan = json_of(madang(home, "train", "--minutes", "2", "--dry-run", "--json"))
    assert plan["reasons"] and plan["rows"]
    assert json_of(madang(home, "runs", "--json")) == before


def test_a_model_is_measured(home: Path, released: dict[str, Any]) -> None:
    folder = home / "runs" / "one"
    assert folder.is_dir()
    words = ("eval", "model", "smollm2", "--tokens", "64")
    told = json_of(madang(home, *words, "--json"))
    assert list(told) == ["model", "future", "general"]
    for kind in ("future", "general"):
        assert told[kind]["bits_per_byte"] > 0
        assert set(told[kind]["by_language"]) <= {"en", "ko", "und"}
    assert "bits per byte" in madang(home, *words).stdout


def test_what_would_be_trained_is_shown(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "chats.jsonl"
    data.write_text(
        '{"messages": [{"role": "user", "content": "Hi"}, '
        '{"role": "assistant", "content": "Yo"}]}\n'
        '{"messages": [{"role": "user", "content": "Alone"}]}\n',
        "utf-8",
    )
    told = json_of(madang(home, "train", "inspect", str(data), "--json"))
    assert told["examples"] == 1 and told["bad"] == 1
    assert any(span["trained"] and "Yo" in span["text"] for span in told["samples"][0]["spans"])
    shown = madang(home, "train", "inspect", str(data))
    assert "line 2" in shown.stdout and "Yo" in shown.stdout


def test_ctrl_c_ends_with_a_usable_model(home: Path) -> None:
    words = ("train", *SMALL[2:], "--steps", "100000", "--name", "ended", "--no-publish", "--json")
    with subprocess.Popen(
        [sys.executable, "-m", "madang.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MADANG_HOME": str(home)},
    ) as running:
        metrics = home / "runs" / "ended" / "metrics.jsonl"
        deadline = time.monotonic() + 90
        while not (metrics.is_file() and metrics.read_bytes().count(b'"loss"') > 2):
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        out, told = running.communicate(timeout=90)
    assert running.returncode == 0, told
    report = json.loads(out)
    assert report["steps"] < 100_000 and "Traceback" not in told
    assert (home / "runs" / "ended" / "weights.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "--minutes", "0"), "no time to train in"),
        (("train", "--steps", "3", "--minutes", "1"), "not both"),
        (("train", "--from", "nowhere", "--steps", "1"), "there is no model 'nowhere'"),
        (("train", "--resume", "nothing"), "no run nothing"),
        (("train", "--plan", "nowhere.json"), "nowhere.json"),
        (("train", "--objective", "sft"), "--data FILE"),
        (("train", "--objective", "sft", "--data", "nowhere.jsonl"), "nowhere.jsonl"),
        (("train", "--emit", "torchtitan", "--steps", "1"), "--out FOLDER"),
        (("release", "nothing"), "no run 'nothing'"),
        (("eval", "model", "scratch"), "has not been trained"),
    ],
)
def test_mistakes_get_one_clear_sentence(home: Path, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in fails(madang(home, *words))


def test_where_nothing_may_be_learned_from_it_says_so(tmp_path: Path) -> None:
    madang(tmp_path, "ingest", str(SAMPLE))
    told = fails(madang(tmp_path, "train", "--steps", "1"))
    assert "consent" in told or "grant" in told


def test_without_the_packages_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    script = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'torch' else real(name, *rest)\n"
        "from madang.cli import main; main()"
    )
    for words in (("train", "--steps", "1"), ("eval", "model"), ("corpus", "where", "x")):
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "MADANG_HOME": str(tmp_path)},
        )
        assert "training needs more packages (torch)" in fails(done)
