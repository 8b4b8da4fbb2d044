"""The page's files: complete, typed, never stale, and nothing but them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from serving import Served, error_of

from madang.server import page

POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "object-src 'none'"
)
KINDS = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
FILES = sorted(
    str(file.relative_to(page.FOLDER)) for file in page.FOLDER.rglob("*") if file.is_file()
)


def test_the_page_comes_under_a_strict_policy(reading: Served) -> None:
    for path in ("/", "/static/index.html"):
        response = reading.client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["content-security-policy"] == POLICY
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert reading.client.head("/").status_code == 200


@pytest.mark.parametrize("path", FILES)
def test_every_file_is_served_as_what_it_is(reading: Served, path: str) -> None:
    response = reading.client.get(f"/static/{path}")
    assert response.status_code == 200
    assert response.content == (page.FOLDER / path).read_bytes()
    expected = KINDS.get(Path(path).suffix)
    if expected is not None:
        assert response.headers["content-type"].startswith(expected)
    assert response.headers["cache-control"] == "no-cache"


def test_a_file_is_sent_again_only_when_it_has_changed(
    reading: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "FOLDER", tmp_path)
    file = tmp_path / "main.js"
    file.write_text("first")
    first = reading.client.get("/static/main.js")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        same = reading.client.get("/static/main.js", headers={"if-none-match": known})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == tag
    file.write_text("second")
    changed = reading.client.get("/static/main.js", headers={"if-none-match": tag})
    assert (changed.status_code, changed.text) == (200, "second")
    assert changed.headers["etag"] != tag


OUTSIDE = "../__init__.py ..%2f__init__.py %2e%2e/app.py js/../../app.py /etc/passwd js js/ %00"
OUTSIDE += " js/main.js%00 %2e%2e index.html/ nothing.css %ff.js js%5cmain.js"


@pytest.mark.parametrize("path", [*OUTSIDE.split(), "a" * 5000 + ".js", "a/" * 2000 + "a.js"])
def test_nothing_else_can_be_had(reading: Served, path: str) -> None:
    response = reading.client.get(f"{reading.url}/static/{path}")
    assert response.status_code == 404
    error_of(response)


def test_a_link_out_of_the_folder_is_not_followed(
    reading: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    monkeypatch.setattr(page, "FOLDER", folder)
    assert reading.client.get("/static/link.json").status_code == 404


def test_the_page_is_told_what_it_shows(reading: Served) -> None:
    info = reading.client.get("/page/info").json()
    assert info["name"] == "Madang"
    assert info["posts"] > 400 and info["authors"] > 30
    assert info["newest"].startswith("2026-11-20")
    assert info["stopped"] is False and info["remote_engine"] is False
    assert info["sources"] == ["town"]
    assert set(info["examples"]) == {"ko", "en"}
    assert all(len(questions) == 3 for questions in info["examples"].values())


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_questions_that_the_page_proposes_are_answered(reading: Served, lang: str) -> None:
    for question in reading.client.get("/page/info").json()["examples"][lang]:
        answer = reading.ask(question).json()["madang"]["answer"]
        assert not answer["abstained"], question
        assert answer["lang"] == lang


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", "null", "{", '{"ko": "x"}', '{"ko": [1, null, ""]}', '{"en": {"a": 1}}', "\0"],
)
def test_broken_examples_are_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "examples.json"
    if content is not None:
        path.write_text(content)
    assert page.read_examples(path) == {"ko": [], "en": []}


def test_examples_are_read_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "examples.json"
    path.write_text(json.dumps({"ko": ["뭐?"], "en": ["what?", 7], "fr": ["quoi ?"]}), "utf-8")
    assert page.read_examples(path) == {"ko": ["뭐?"], "en": ["what?"]}
