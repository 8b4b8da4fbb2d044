"""Every link between documents leads somewhere, and both languages tell the same."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from documents import PAGES, ROOT, anchors, blocks, links, name

LANGUAGES = {"sh", "python", "json", "jsonl", "text", "toml", "js", "csv", "http", "yaml"}
TRANSLATED = [
    (ROOT / "README.md", ROOT / "README.ko.md"),
    *((ROOT / "docs" / page.name, page) for page in sorted((ROOT / "docs" / "ko").glob("*.md"))),
]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_its_language(page: Path) -> None:
    unknown = [(one.line, one.language) for one in blocks(page) if one.language not in LANGUAGES]
    assert unknown == []


def test_every_document_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    reached = {(index.parent / link).resolve() for link in links(index)}
    pages = {page for page in (ROOT / "docs").rglob("*.md") if page != index}
    assert pages - reached == set()


@pytest.mark.parametrize(("english", "korean"), TRANSLATED, ids=lambda page: name(page))
def test_both_languages_have_the_same_parts(english: Path, korean: Path) -> None:
    def shape(page: Path) -> list[str]:
        return re.findall(r"^(#+) ", page.read_text("utf-8"), re.MULTILINE)

    def commands(page: Path) -> list[list[str]]:
        return [
            [line.split()[:2] for line in one.content.splitlines() if line]
            for one in blocks(page)
            if one.language == "sh"
        ]

    assert shape(korean) == shape(english)
    assert commands(korean) == commands(english)


def test_the_two_commands_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page in (ROOT / "README.md", ROOT / "README.ko.md"):
        first = next(one for one in blocks(page) if one.language == "sh")
        commands = [line.split("#")[0].split() for line in first.content.splitlines()]
        assert commands == [["make", "up"], ["make", "test"]]
        picture = page.read_text("utf-8").index("![")
        assert picture < page.read_text("utf-8").index("make up")
    for _, job in commands:
        assert re.search(rf"^{job}:", makefile, re.MULTILINE)


def test_every_make_command_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    jobs = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    told = {
        job
        for page in PAGES
        for job in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert told - jobs == set()
