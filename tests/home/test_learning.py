"""Training from a home: from posts to a release, resumed, asked which posts it saw."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from learning_community import TINY, WORDS, fill, opened

from madang.home import Home, NothingToLearnError, TrainingReport, TrainOptions, Watcher
from madang.home.purging import purge_corpora
from madang.home.run_files import read_curve, read_run
from madang.posts import Post
from madang.training.files import sha256

pytest.importorskip("torch", reason="training needs the extra `train`")

OPTIONS = TrainOptions(steps=8, seed=3, threads=1, workers=1, overrides=TINY, publish=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, TrainingReport]]:
    """A home with one run of eight steps that was not published."""
    with opened(tmp_path_factory.mktemp("trained") / "home") as home:
        yield home, home.learning.train(replace(OPTIONS, name="first"))


def test_a_run_leaves_what_everything_else_needs(trained: tuple[Home, TrainingReport]) -> None:
    home, report = trained
    told = report.to_dict()
    assert list(told) == [
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
    assert (told["run"], told["release"], told["steps"]) == ("first", None, 8)
    assert told["tokens"] == 8 * TINY["rows"] * TINY["length"]
    assert told["useful_tokens_per_second"] > 0 and told["seconds"] > 0
    future = told["bits_per_byte"]["future"]
    assert future["after"] < future["before"]
    assert set(told["bits_per_byte"]["general"]) == {"before", "after"}
    run = home.learning.run("first")
    assert run.status == "finished" and len(run.curve().points) == 8
    assert (run.folder / "tokenizer.json").is_file()


def test_the_same_plan_over_the_same_posts_gives_the_same_bits(
    trained: tuple[Home, TrainingReport],
) -> None:
    home, _ = trained
    first = home.folder.runs / "first"
    again = home.learning.train(
        replace(OPTIONS, name="again", steps=None, plan=str(first / "plan.json"))
    )
    assert again.steps == 8
    one, two = ((home.folder.runs / name / "weights.safetensors") for name in ("first", "again"))
    assert sha256(one) == sha256(two)


def test_a_step_tells_its_posts_and_a_post_its_steps(trained: tuple[Home, TrainingReport]) -> None:
    home, _ = trained
    seen: dict[str, set[int]] = {}
    for step in range(1, 9):
        parts = home.learning.posts_of_step("first", step)
        assert {one.row for one in parts} == set(range(TINY["rows"]))
        for one in parts:
            seen.setdefault(one.post, set()).add(step)
    assert len(seen) > 20
    for post in sorted(seen)[:3]:
        (found,) = [one for one in home.learning.where(post) if one.run == "first"]
        assert set(found.steps) == seen[post]
        assert found.checkpoints == (8,) and found.release is None
    assert home.learning.where("town:119") == [], "the newest posts are only measured on"
    with pytest.raises(ValueError, match="steps 1 to 8, not 9"):
        home.learning.posts_of_step("first", 9)
    with pytest.raises(ValueError, match="no run 'second'"):
        home.learning.posts_of_step("second", 1)


def test_a_part_of_the_posts_gives_the_same_bits_where_the_run_ends_within_it(
    trained: tuple[Home, TrainingReport],
) -> None:
    home, _ = trained
    options = replace(OPTIONS, steps=2)
    whole = home.learning.train(replace(options, name="of-all"))
    share = {**TINY, "corpus_share": 0.5}
    part = home.learning.train(replace(options, name="of-half", overrides=share))
    one, other = (home.folder.runs / run.run for run in (whole, part))
    plans = [json.loads((run / "plan.json").read_text()) for run in (one, other)]
    assert plans[0]["corpus"] != plans[1]["corpus"]
    assert sha256(one / "weights.safetensors") == sha256(other / "weights.safetensors")
    for step in (1, 2):
        posts = [
            [part.post for part in home.learning.posts_of_step(run.name, step)]
            for run in (one, other)
        ]
        assert posts[0] == posts[1]
    with pytest.raises(ValueError, match="corpus_share is 2"):
        home.learning.train(replace(options, overrides={**TINY, "corpus_share": 2}))


def test_a_run_that_was_killed_goes_on_to_the_same_bits(
    trained: tuple[Home, TrainingReport],
) -> None:
    home, _ = trained
    script = """
import json, os, signal, sys
from madang.home import Home, TrainOptions, Watcher
def kill(progress):
    if progress.step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
with Home(sys.argv[1], model="/none.gguf") as home:
    options = TrainOptions(**json.loads(sys.argv[2]))
    home.learning.train(options, Watcher(progress=kill))
"""
    given = {"steps": 8, "seed": 3, "threads": 1, "workers": 1, "publish": False, "name": "killed"}
    given["overrides"] = {**TINY, "checkpoint_every": 2}
    words = [sys.executable, "-c", script, str(home.folder.root), json.dumps(given)]
    killed = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert killed.returncode == -9, killed.stderr
    run = home.learning.run("killed")
    assert run.status == "stopped"
    report = home.learning.train(TrainOptions(resume="killed", publish=False))
    assert (report.run, report.steps) == ("killed", 8)
    first, other = (home.folder.runs / name / "weights.safetensors" for name in ("first", "killed"))
    assert sha256(first) == sha256(other)


def test_asked_to_stop_it_ends_soon_with_a_model(trained: tuple[Home, TrainingReport]) -> None:
    home, _ = trained
    stop = threading.Event()

    def enough(progress: Any) -> None:
        if progress.step == 3:
            stop.set()

    options = replace(OPTIONS, name="stopped", steps=500)
    report = home.learning.train(options, Watcher(progress=enough, stop=stop))
    assert 3 <= report.steps < 100
    run = home.learning.run("stopped")
    assert run.status == "finished" and (run.folder / "weights.safetensors").is_file()


def test_a_plan_is_told_before_anything_is_trained(trained: tuple[Home, TrainingReport]) -> None:
    home, _ = trained
    runs = {run.name for run in home.learning.runs()}
    plan = home.learning.plan(TrainOptions(minutes=2, overrides={"width": 128}))
    assert plan.width == 128 and plan.reasons["width"] and plan.reasons["rows"]
    assert {run.name for run in home.learning.runs()} == runs


def test_conversations_are_learned_from_a_file(
    trained: tuple[Home, TrainingReport], tmp_path: Path
) -> None:
    home, _ = trained
    data = tmp_path / "chats.jsonl"
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Where is the {word}?"},
                {"role": "assistant", "content": f"The {word} is at the harbour."},
            ]
        }
        for word in WORDS
    ]
    data.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    small = {**TINY, "vocabulary": 300}
    options = replace(OPTIONS, name="chats", objective="sft", data=str(data), overrides=small)
    report = home.learning.train(options)
    assert report.steps == 8 and report.bits_per_byte["future"]["after"] is None
    with pytest.raises(ValueError, match="file of examples"):
        home.learning.posts_of_step("chats", 1)


def test_where_nothing_may_be_learned_from_it_says_so(tmp_path: Path) -> None:
    with Home(tmp_path, model="/none.gguf") as home:
        with pytest.raises(NothingToLearnError):
            home.learning.train(OPTIONS)
        home.write(Post(id="local:1", source="local", text="Nobody granted training on this."))
        with pytest.raises(NothingToLearnError):
            home.learning.train(OPTIONS)
        assert home.learning.runs() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"minutes": 0}, "no time to train in"),
        ({"minutes": 1, "steps": 1}, "not both"),
        ({"steps": 0}, "at least 1"),
        ({"objective": "dpo", "data": "x"}, "give --from"),
        ({"objective": "sft"}, "--data FILE"),
        ({"method": "lora"}, "a model to adapt"),
    ],
)
def test_options_that_contradict_each_other_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainOptions(**wrong)


@pytest.mark.parametrize("base", ["nowhere", "../releases", "no/such.gguf"])
def test_a_base_that_is_not_there_is_named(tmp_path: Path, base: str) -> None:
    with opened(tmp_path) as home, pytest.raises(ValueError, match="there is no model"):
        home.learning.train(replace(OPTIONS, base=base))


def test_reading_runs_takes_any_file(tmp_path: Path) -> None:
    for number, content in enumerate([b"", b"{", b"[]", b'{"loss": 1}', b"\xff\xfe\n", b"null\n"]):
        run = tmp_path / f"r{number}"
        run.mkdir()
        for name in ("plan.json", "state.json", "metrics.jsonl"):
            (run / name).write_bytes(content)
        read_run(tmp_path, run.name)
        assert read_curve(run / "metrics.jsonl").points == ()
    assert read_run(tmp_path, "../etc") is None


# -- erasure ---------------------------------------------------------------------------------


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_is_erased_leaves_corpora_and_what_runs_wrote(tmp_path: Path) -> None:
    with opened(tmp_path) as home:
        text = "The quaysidexylophone plays at nine, and nobody else in town has one of them."
        fill(home, 60)
        home.write(Post(id="local:1", source="local", text="ungranted words stay out of it"))
        grant = home.log.read(0, 1)[0].seq
        from madang.posts import Write

        home.log.append([Write(Post(id="town:x", source="town", author="ann", text=text), grant)])
        home.catch_up()
        home.learning.train(replace(OPTIONS, name="saw", steps=2))
        metrics = home.folder.runs / "saw" / "metrics.jsonl"
        with metrics.open("a") as lines:
            lines.write('{"step": 2, "seconds": 1.0, "sample": "The quaysidexylophone plays"}\n')
        assert any(home.folder.corpus.glob("*/documents.parquet"))
        before = read_curve(metrics)
        assert home.forget("local:1") == "deleted"
        assert any(home.folder.corpus.glob("*/documents.parquet")), "it was in no corpus"
        assert home.forget("town:x") == "deleted"
        assert not any(home.folder.corpus.glob("*/documents.parquet"))
        assert b"quaysidexylophone" not in bytes_of(home.folder.root)
        assert read_curve(metrics).points == before.points
        with pytest.raises(ValueError, match="corpus of this run is gone"):
            home.learning.posts_of_step("saw", 1)
        assert home.learning.where("town:3") == []


def test_a_refusal_takes_an_authors_posts_out_of_corpora(tmp_path: Path) -> None:
    with opened(tmp_path) as home:
        home.learning.curate()
        assert any(home.folder.corpus.glob("*/documents.parquet"))
        home.consent("person3", {"train": False})
        assert not any(home.folder.corpus.glob("*/documents.parquet"))
        curated = home.learning.curate()
        authors = {
            home.log.find([post])[post].post.author
            for one in curated.documents()
            for post in one.posts
        }
        assert authors and "person3" not in authors


def test_purging_reads_each_event_once(tmp_path: Path) -> None:
    with opened(tmp_path) as home:
        assert purge_corpora(home.folder, home.log) == 0
        home.learning.curate()
        assert purge_corpora(home.folder, home.log) == 0
        home.log.append([])
        from madang.posts import Delete

        home.log.append([Delete("town:4")])
        assert purge_corpora(home.folder, home.log) == 1
        assert purge_corpora(home.folder, home.log) == 0


def test_a_vocabulary_larger_than_the_posts_support_is_said(tmp_path: Path) -> None:
    notes: list[str] = []
    with opened(tmp_path / "home") as home:
        options = replace(OPTIONS, steps=1, overrides={**TINY, "vocabulary": 50_000})
        report = home.learning.train(options, Watcher(note=notes.append))
        plan = json.loads((home.folder.runs / report.run / "plan.json").read_text())
    assert plan["vocabulary"] < 5000
    assert "not the 50,000 asked for" in plan["reasons"]["vocabulary"]
    (fertility,) = [one for one in notes if one.startswith("tokens a word: ")]
    assert "Korean" in fertility or "English" in fertility
