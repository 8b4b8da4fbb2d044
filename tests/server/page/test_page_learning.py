"""The panel of the model that learns, the choice of who speaks, and the page of runs."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_page import OpenPage, Town, pages, violations
from playwright.sync_api import Browser, expect
from serving import NO_MODEL, Served, opened_copy, serving

from madang.home.background import LearningStatus

pytestmark = pytest.mark.browser


def write_run(folder: Path, *, state: str = "running", steps: int = 120, best: float = 1.6) -> Path:
    """Write a run as training leaves it, or as it stands on the way."""
    folder.mkdir(parents=True)
    plan = {"base": "/x/smollm2", "method": "lora", "objective": "pretrain", "minutes": 3}
    (folder / "plan.json").write_text(json.dumps(plan))
    told = {"state": state, "pid": os.getpid(), "detail": "", "release": None}
    (folder / "state.json").write_text(
        json.dumps({**told, "started": f"2026-11-20T10:{len(folder.name):02}:00+00:00"})
    )
    with (folder / "metrics.jsonl").open("w") as lines:
        for step in range(steps):
            bits = best + 1.2 * math.exp(-step / 25)
            entry = {
                "step": step + 1,
                "seconds": step * 1.5,
                "tokens": (step + 1) * 2048,
                "loss": bits * 2.5,
                "bits_per_byte": bits,
                "tokens_per_second": 1365.3,
                "peak_share": 0.71,
                "phase": "stable",
            }
            lines.write(json.dumps(entry) + "\n")
    return folder


class Watched:
    """Stands in for the learner where a test decides what it does."""

    def __init__(self) -> None:
        self.status = LearningStatus("waiting", 3.0)

    def corpora_purged(self, removed: int) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def learner() -> Watched:
    return Watched()


@pytest.fixture
def learning(sample_folder: Path, tmp_path: Path, learner: Watched) -> Iterator[Served]:
    with opened_copy(sample_folder, tmp_path / "home", NO_MODEL) as home:
        home._learner = learner  # type: ignore[assignment]
        with serving(home) as running:
            yield running


@pytest.fixture
def open_learning(browser: Browser, learning: Served) -> Iterator[OpenPage]:
    with pages(browser, Town(learning)) as open_one:
        yield open_one


SENTENCES = {
    "en": {
        "off": "No model is learning from these posts.",
        "absent": "A model can learn from these posts once the packages for it are installed.",
        "nothing": "No model is learning: there is no post here that one may learn from.",
        "stopped": "The operator has stopped learning.",
    },
    "ko": {
        "off": "지금은 이 글을 배우는 모델이 없습니다.",
        "absent": "학습에 필요한 패키지가 설치되면 모델이 이 글을 배울 수 있습니다.",
        "nothing": "학습에 써도 되는 글이 없어서 배우는 모델이 없습니다.",
        "stopped": "운영자가 학습을 멈췄습니다.",
    },
}


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("state", ["off", "absent", "nothing", "stopped"])
def test_where_nothing_learns_one_sentence_says_why(
    open_learning: OpenPage, learner: Watched, lang: str, state: Any
) -> None:
    learner.status = LearningStatus(state, 3.0)
    page = open_learning(lang).page
    expect(page.locator("#learning .sentence-now")).to_have_text(SENTENCES[lang][state])
    expect(page.locator("#learning svg")).to_have_count(0)
    expect(page.locator("#learning progress")).to_be_hidden()


@pytest.mark.parametrize(("lang", "scheme", "width"), [("en", "light", 1280), ("ko", "dark", 360)])
def test_the_curve_grows_while_it_learns(
    open_learning: OpenPage,
    learning: Served,
    learner: Watched,
    axe: str,
    lang: str,
    scheme: str,
    width: int,
) -> None:
    run = write_run(learning.home.folder.runs / "one", steps=40)
    learner.status = LearningStatus("learning", 3.0, "train", run="one", seconds=61.0)
    chat = open_learning(lang, width, 800, color_scheme=scheme)
    panel = chat.page.locator("#learning")
    expect(panel.locator(".sentence-now")).to_contain_text("1:59")
    line = panel.locator("svg .line")
    before = line.get_attribute("d")
    assert before and before.count("L") == 39
    expect(panel.locator("svg")).to_have_attribute("role", "img")
    expect(panel.locator("svg")).to_have_attribute("aria-label", _described(lang))
    assert violations(chat, axe) == []
    panel.locator("summary").click()
    assert panel.locator("tbody tr").count() == 8
    assert violations(chat, axe) == []
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= width

    (run / "metrics.jsonl").unlink()
    grown = write_run(learning.home.folder.runs / "grown", steps=90) / "metrics.jsonl"
    grown.rename(run / "metrics.jsonl")
    expect(line).not_to_have_attribute("d", before, timeout=6000)
    expect(panel.locator("details")).to_have_attribute("open", "")


@pytest.mark.parametrize(
    ("lang", "names"),
    [
        ("en", ["posts as it reads them", "newest posts, never learned from"]),
        ("ko", ["읽고 있는 글", "배우지 않은 가장 새 글"]),
    ],
)
def test_what_it_was_measured_at_is_drawn_beside(
    open_learning: OpenPage, learning: Served, learner: Watched, lang: str, names: list[str]
) -> None:
    run = write_run(learning.home.folder.runs / "one", steps=40)
    with (run / "metrics.jsonl").open("a") as lines:
        for seconds, bits in ((0.0, 2.9), (30.0, 2.4), (60.0, 2.2)):
            found = {"future": bits, "general": 2.0}
            lines.write(json.dumps({"step": 1, "seconds": seconds, "evaluation": found}) + "\n")
    learner.status = LearningStatus("learning", 3.0, "train", run="one", seconds=61.0)
    panel = open_learning(lang).page.locator("#learning")
    expect(panel.locator("svg[role=img] .line")).to_have_count(2)
    assert panel.locator(".legend li").all_inner_texts() == names
    panel.locator("summary").click()
    assert panel.locator("thead th").all_inner_texts()[1:] == names


def _described(lang: str) -> Any:
    return re.compile({"en": r"2\.8 at first, 1\.85", "ko": r"처음 2\.8"}[lang])


def test_who_takes_over_is_announced_and_shown(
    open_learning: OpenPage, learning: Served, learner: Watched
) -> None:
    learner.status = LearningStatus("learning", 3.0, "publish", run=None, seconds=200.0)
    page = open_learning("en").page
    expect(page.locator("#learning .sentence-now")).to_contain_text("Checking the new model")
    release(learning, "town-1")
    learning.home.model._speaks = "town-1"
    learner.status = LearningStatus(
        "learned",
        3.0,
        release="town-1",
        bits_per_byte={"future": {"before": 2.0, "after": 1.5}},
    )
    expect(page.locator("#learning .sentence-now")).to_contain_text(
        "town-1 has learned", timeout=6000
    )
    expect(page.locator("#learning .figures-now")).to_contain_text("(-25 %)")
    expect(page.locator("#announcements")).to_contain_text("From now on town-1 answers")
    expect(page.locator("#models option").first).to_have_text("town-1 (speaks here)")


def release(learning: Served, name: str) -> None:
    folder = learning.home.folder.releases / name
    folder.mkdir(parents=True)
    (folder / "model-q8_0.gguf").write_bytes(b"GGUF")
    (folder / "release.json").write_text(
        json.dumps({"name": name, "created_at": "2026-11-20T10:00:00+00:00"})
    )


def test_a_member_chooses_who_answers(open_learning: OpenPage, learning: Served) -> None:
    release(learning, "town-1")
    chat = open_learning("en", 360, 740)
    own = learning.home.names.own
    choice = chat.page.locator("#models")
    assert choice.locator("option").all_inner_texts() == [f"{own} (speaks here)", "town-1"]
    chat.ask("When does the first ferry to Dalseom leave?")
    choice.select_option("town-1")
    chat.ask("And the last one?")
    assert [body["model"] for body in chat.asked] == ["madang", "town-1"]
    chat.load()
    expect(choice).to_have_value("town-1")
    choice.select_option("")
    chat.ask("Thanks!")
    assert chat.asked[-1]["model"] == "madang"


@pytest.mark.parametrize(("lang", "scheme", "width"), [("en", "light", 1280), ("ko", "dark", 360)])
def test_runs_are_listed_and_compared(
    open_learning: OpenPage,
    learning: Served,
    axe: str,
    lang: str,
    scheme: str,
    width: int,
) -> None:
    runs = learning.home.folder.runs
    chat = open_learning(lang, width, 800, color_scheme=scheme)
    page = chat.page
    page.click("#learning a.more")
    page.wait_for_selector("body.ready")
    expect(page.locator("#none")).to_be_visible()
    assert violations(chat, axe) == []
    for number, state in enumerate(["finished", "failed", "stopped", "finished", "running"]):
        write_run(runs / ("r" * (number + 1)), state=state, best=1.6 + number / 10)
    _reload(page)
    rows = page.locator("#rows tr")
    assert rows.count() == 5
    expect(rows.first.locator("input")).to_be_checked()
    expect(page.locator("#curves svg[role=img] .line")).to_have_count(1)
    for number in (1, 2, 3):
        rows.nth(number).locator("input").check()
    expect(page.locator("#curves svg[role=img] .line")).to_have_count(4)
    expect(rows.nth(4).locator("input")).to_be_disabled()
    assert page.locator(".legend li").all_inner_texts() == ["rrrrr", "rrrr", "rrr", "rr"]
    page.locator(".figures summary").click()
    assert page.locator(".figures thead th").count() == 5
    assert violations(chat, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def _reload(page: Any) -> None:
    page.reload()
    page.wait_for_selector("body.ready")
