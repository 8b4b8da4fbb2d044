"""The page's two catalogues, and its files as files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import madang.server

PAGE = Path(madang.server.__file__).parent / "page"
CATALOGUES = {
    lang: json.loads((PAGE / f"messages/{lang}.json").read_text()) for lang in ("en", "ko")
}
SCRIPTS = sorted((PAGE / "js").glob("*.js"))
PAGES = sorted(PAGE.glob("*.html"))
STYLES = sorted(PAGE.glob("*.css"))
HANGUL = re.compile("[가-힣]")


def test_both_languages_say_the_same_things() -> None:
    english, korean = CATALOGUES["en"], CATALOGUES["ko"]
    assert list(english) == list(korean)
    for key in english:
        assert english[key].strip() and korean[key].strip()
        placeholders = [
            sorted(re.findall(r"\{(\w+)\}", text)) for text in (english[key], korean[key])
        ]
        assert placeholders[0] == placeholders[1], key


def test_each_language_is_that_language() -> None:
    assert [key for key, text in CATALOGUES["ko"].items() if not HANGUL.search(text)] == []
    assert [key for key, text in CATALOGUES["en"].items() if HANGUL.search(text)] == []


def test_a_catalogue_has_no_key_twice() -> None:
    for lang, catalogue in CATALOGUES.items():
        text = (PAGE / f"messages/{lang}.json").read_text()
        assert len(re.findall(r'^  "', text, re.M)) == len(catalogue)


def test_every_message_is_said_and_every_said_message_exists() -> None:
    sources = "\n".join(path.read_text() for path in [*PAGES, *SCRIPTS])
    named = set(re.findall(r'["`]([a-z]+\.[a-z_]+)["`]', sources))
    # Keys that are put together, such as `failure.${reason}`.
    families = set(re.findall(r"`([a-z]+\.)\$\{", sources))
    known = set(CATALOGUES["en"])
    assert {
        key for key in named if key.split(".")[0] + "." in {k.split(".")[0] + "." for k in known}
    } <= known
    unsaid = {key for key in known - named if not key.startswith(tuple(families))}
    assert unsaid == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_has_nothing_inline(path: Path) -> None:
    html = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.S) == [""]


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS, *STYLES], ids=lambda path: path.name)
def test_no_file_names_another_origin(path: Path) -> None:
    namespaces = {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"""(?:https?:)?//[\w.-]+\.[^\s"')]+""", path.read_text())) <= namespaces


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_writes_markup(path: Path) -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", path.read_text()
    )


def test_every_file_that_a_file_names_exists() -> None:
    for path in [*PAGES, *SCRIPTS]:
        text = path.read_text()
        for name in re.findall(r"/static/([\w./-]+\.(?:css|js|svg))", text):
            assert (PAGE / name).is_file(), (path.name, name)
        for name in re.findall(r'from "\./([\w.]+)"', text):
            assert (PAGE / "js" / name).is_file(), (path.name, name)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_script_of_a_page_is_loaded_at_once(path: Path) -> None:
    html = path.read_text()
    preloaded = re.findall(r'modulepreload" href="/static/js/([\w.]+)"', html)
    (main,) = re.findall(r'script type="module" src="/static/js/([\w.]+)"', html)
    needed, waiting = set(), [main]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += re.findall(r'from "\./([\w.]+)"', (PAGE / "js" / name).read_text())
    assert sorted([*preloaded, main]) == sorted(needed)


def test_every_script_belongs_to_a_page() -> None:
    html = "".join(path.read_text() for path in PAGES)
    assert set(re.findall(r"/static/js/([\w.]+)", html)) == {path.name for path in SCRIPTS}


def test_every_drawing_that_is_used_is_drawn() -> None:
    drawn = set(re.findall(r'symbol id="(\w+)"', (PAGE / "drawings.svg").read_text()))
    sources = "\n".join(path.read_text() for path in [*PAGES, *SCRIPTS])
    used = set(re.findall(r"drawings\.svg#(\w+)", sources)) | set(
        re.findall(r'drawing\("(\w+)"\)', sources)
    )
    assert used == drawn
