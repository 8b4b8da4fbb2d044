"""Whatever happens to a log, it agrees with a model of a few lines."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from madang.posts import (
    FILE_GRANT,
    OWNER_GRANT,
    PURPOSES,
    Consent,
    Delete,
    DeleteAuthor,
    Grant,
    Post,
    PostLog,
    SetVisibility,
    Write,
)

NAMES = st.sampled_from(["t:1", "t:2", "t:3", "t:4"])
AUTHORS = st.sampled_from(["mina", "준호", None])
TEXTS = st.sampled_from(["A", "B", "가"])
SIGNALS = st.dictionaries(st.sampled_from(PURPOSES), st.booleans(), max_size=2)


class LogMachine(RuleBasedStateMachine):
    """Appends events to a real log and to two dictionaries, and compares them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.log = PostLog(Path(self.folder.name) / "posts.db")
        self.grants = [
            self.log.grant(Grant("operator", "file", FILE_GRANT)),
            self.log.grant(Grant("owner", "archive", OWNER_GRANT)),
        ]
        self.texts: dict[str, str] = {}
        self.authors: dict[str, str | None] = {}
        self.erased: set[str] = set()
        self.erased_authors: set[str] = set()
        self.hidden: set[str] = set()

    def teardown(self) -> None:
        self.log.close()
        self.folder.cleanup()

    @rule(
        name=NAMES,
        author=AUTHORS,
        text=TEXTS,
        grant=st.integers(0, 1),
        signals=SIGNALS,
        reply_to=st.none() | NAMES,
    )
    def write(
        self,
        name: str,
        author: str | None,
        text: str,
        grant: int,
        signals: dict[str, bool],
        reply_to: str | None,
    ) -> None:
        post = Post(id=name, source="t", text=text, author=author, reply_to=reply_to)
        (outcome,) = self.log.append([Write(post, self.grants[grant], signals)])
        if name in self.erased or author in self.erased_authors:
            assert outcome == "erased"
            return
        if outcome == "refused":
            return
        assert outcome in ("unchanged", "edited") if name in self.texts else outcome == "written"
        assert (outcome == "unchanged") <= (self.texts.get(name) == text)
        self.texts[name], self.authors[name] = text, author

    @rule(names=st.lists(NAMES, max_size=3))
    def delete(self, names: list[str]) -> None:
        outcomes = self.log.append([Delete(name) for name in names])
        for name, outcome in zip(names, outcomes, strict=True):
            assert outcome == ("unchanged" if name in self.erased else "deleted")
            self._forget(name)

    @rule(author=AUTHORS)
    def delete_author(self, author: str | None) -> None:
        if author is None:
            return
        self.log.append([DeleteAuthor("t", author)])
        self.erased_authors.add(author)
        for name in [name for name, who in self.authors.items() if who == author]:
            self._forget(name)

    @rule(name=NAMES, visible=st.booleans())
    def set_visibility(self, name: str, visible: bool) -> None:
        self.log.append([SetVisibility(name, visible)])
        if name in self.texts:
            (self.hidden.discard if visible else self.hidden.add)(name)

    @rule(author=AUTHORS, purposes=SIGNALS)
    def consent(self, author: str | None, purposes: dict[str, bool]) -> None:
        if author is not None:
            self.log.append([Consent("t", author, purposes)])

    def _forget(self, name: str) -> None:
        self.erased.add(name)
        self.texts.pop(name, None)
        self.authors.pop(name, None)
        self.hidden.discard(name)

    @invariant()
    def posts_agree(self) -> None:
        found = {one.post.id: one for one in self.log.scan()}
        assert {name: one.post.text for name, one in found.items()} == self.texts
        assert {name for name, one in found.items() if not one.visible} == self.hidden
        assert found == self.log.find(list(found))
        assert {one.key: one for one in found.values()} == self.log.stored(
            [one.key for one in found.values()]
        )

    @invariant()
    def what_is_stored_of_consent_is_what_resolve_says(self) -> None:
        for one in self.log.scan():
            for decision in self.log.explain(one.post.id):
                assert one.allows(decision.purpose) == decision.allowed

    @invariant()
    def erased_posts_hold_nothing(self) -> None:
        for event in self.log.read(limit=10_000):
            if event.kind in ("write", "edit"):
                assert (event.payload is None) == (event.post in self.erased)

    @invariant()
    def replaying_all_changes_finds_every_post(self) -> None:
        changed, erased, last = self.log.changed_keys(0, 100_000)
        assert last == self.log.last_seq
        assert {one.key for one in self.log.scan()} <= set(changed)
        assert set(self.log.stored(erased)) == set()


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_refused_edit_keeps_the_version_that_was_allowed(tmp_path: Path) -> None:
    with PostLog(tmp_path / "posts.db") as log:
        grant = log.grant(Grant("operator", "file", FILE_GRANT))
        post = Post(id="t:1", source="t", text="A")
        log.append([Write(post, grant)])
        nothing = dict.fromkeys(PURPOSES, False)
        assert log.append([Write(replace(post, text="B"), grant, nothing)]) == ["refused"]
        one = log.find(["t:1"])["t:1"]
        assert one.post.text == "A" and not any(one.allows(purpose) for purpose in PURPOSES)
