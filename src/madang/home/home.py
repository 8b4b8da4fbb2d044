"""A home: one folder that holds a community's posts and all that is made of them.

This is Madang's Python API; the command line and the server only call it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from madang.answer import Answer, Answerer, CommunityPosts, Finished, Request
from madang.engines import Engine
from madang.home.answering import AnswersEngine, Steps
from madang.home.background import BackgroundLearner, LearningStatus
from madang.home.brake import Brake
from madang.home.folder import Folder, locate
from madang.home.following import Following
from madang.home.learning import Learning
from madang.home.named_models import NamedModels, write_speaking
from madang.home.purging import purge_corpora
from madang.home.results import Overview, SearchResult
from madang.posts import (
    FILE_GRANT,
    Consent,
    Decision,
    Delete,
    DeleteAuthor,
    Grant,
    Outcome,
    Post,
    PostLog,
    Stored,
    Write,
)
from madang.posts.consent import parse_purposes
from madang.posts.ingest import GivenGrant, IngestReport, Progress, ingest
from madang.search import Filters, LexicalIndex, Order

# Reading every page of the log takes about a second a gigabyte.
CHECKED_AT_OPEN_BYTES: Final = 1 << 30
# How long a process that does not write the index waits for the one that does.
INDEX_WAIT_SECONDS: Final = 120.0

_log = logging.getLogger("madang.home")


class Home:
    """An open home. Safe for threads; several processes may have the same home open."""

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        model: str | None = None,
        model_key: str | None = None,
    ) -> None:
        """Open the home in `folder` (else `MADANG_HOME`, else `.madang`), making it if need be.

        `model` is a GGUF file, the URL of an OpenAI-compatible server (`model_key` is its key), the
        name of a release, or none for the release that took over here, else the default; it is
        loaded when it is first needed. Raises posts.DamagedLogError
        where the log cannot be trusted; nothing is changed then.
        """
        self.folder: Folder = locate(folder)
        self.folder.make()
        self.log = PostLog(self.folder.posts)
        if self.folder.posts.stat().st_size <= CHECKED_AT_OPEN_BYTES:
            self.log.check()
        self.index = LexicalIndex(self.folder.index, self.log)
        self.brake = Brake(self.folder.brake)
        self.learning = Learning(self.folder, self.log)
        self.names = NamedModels(self.folder, model, model_key)
        self.model = self.names.models()
        self._following: Following | None = None
        self._learner: BackgroundLearner | None = None
        self._ended = threading.Event()
        self._brake_watch: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End background work and give everything back. Calling it again is harmless."""
        self._ended.set()
        if self._learner is not None:
            self._learner.close()
            self._learner = None
        if self._following is not None:
            self._following.close()
            self._following = None
        if self._brake_watch is not None:
            self._brake_watch.join()
            self._brake_watch = None
        self.model.close()
        self.index.close()
        self.log.close()

    # -- posts in ---------------------------------------------------------------------------

    def ingest(
        self,
        path: Path | str,
        *,
        source: str | None = None,
        columns: Mapping[str, str] | None = None,
        grant: str | None = None,
        basis: str | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Read a file or folder of posts and make it searchable.

        `columns` maps a post's fields to the file's columns. `grant` lists purposes
        (`search,ground,embed,train`) and then needs `basis`, the reason why they may be granted.
        Raises ValueError for what a person can put right, with one sentence that says how.
        """
        given = None
        if grant is not None:
            if not basis:
                raise ValueError("a grant needs its basis: say why these purposes may be granted")
            given = GivenGrant(parse_purposes(grant), basis)
        elif basis is not None:
            raise ValueError("a basis needs the purposes that it grants")
        report = ingest(
            self.log,
            Path(path),
            rejects=self.folder.rejects,
            source=source,
            columns=columns,
            grant=given,
            progress=progress,
        )
        started = time.monotonic()
        self.catch_up()
        if report.deleted:
            self._purge()
        report.seconds += time.monotonic() - started
        return report

    def write(self, post: Post, *, basis: str = "written through the API") -> Outcome:
        """Write or edit one post; it is searchable within a second."""
        current = self.log.find([post.id]).get(post.id)
        if current is not None and post.edited_at is None:
            post = replace(post, edited_at=datetime.now(UTC))
            if replace(post, edited_at=current.post.edited_at).canonical() == (
                current.post.canonical()
            ):
                return "unchanged"
        number = self.log.grant(Grant("operator", basis, FILE_GRANT))
        (outcome,) = self.log.append([Write(post.normalized(), number)])
        self._follow_now()
        return outcome

    def forget(self, post: str) -> Outcome:
        """Erase one post for good: at once from every answer, within a minute from every file."""
        return "deleted" if self.erase([Delete(post)]) else "unchanged"

    def erase(self, deletions: Sequence[Delete | DeleteAuthor]) -> int:
        """Erase in one go; returns how many of the deletions erased something."""
        outcomes = self.log.append(deletions)
        self._follow_now()
        self._purge()
        return outcomes.count("deleted")

    def forget_author(self, author: str, source: str | None = None) -> Outcome:
        """Erase every post of an author for good.

        Raises ValueError where `source` is needed to tell authors of the same name apart.
        """
        event = DeleteAuthor(self._source_of(author, source), author)
        return "deleted" if self.erase([event]) else "unchanged"

    def consent(
        self, author: str, purposes: Mapping[str, bool], source: str | None = None
    ) -> Outcome:
        """Record an author's own word: purposes they refuse (false) or no longer refuse (true)."""
        parse_purposes(",".join(purposes))
        event = Consent(self._source_of(author, source), author, dict(purposes))
        (outcome,) = self.log.append([event])
        self._follow_now()
        self._purge()
        return outcome

    def explain(self, post: str) -> list[Decision]:
        """Say of every purpose whether a post may be used for it, and which signal decided.

        Raises KeyError where the home does not know the post.
        """
        return self.log.explain(post)

    # -- answers out ------------------------------------------------------------------------

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        filters: Filters | None = None,
        order: Order = "relevance",
    ) -> SearchResult:
        """Find posts. The query may hold `from:`, `since:`, `until:`, `lang:` and the like."""
        started = time.perf_counter()
        hits = self.index.search(query, limit=limit, filters=filters or Filters(), order=order)
        return SearchResult(tuple(hits), (time.perf_counter() - started) * 1000)

    def ask(
        self, question: str, *, only: tuple[str, ...] | None = None, model: str | None = None
    ) -> Answer:
        """Answer a question; `only` restricts the evidence to these posts.

        `model` names the one that answers, else the one that speaks here. Raises ValueError
        where there is none of that name, brake.StoppedError while the emergency brake is on.
        """
        steps = self.steps(Request(question, only=only), model=model)
        try:
            for step in steps:
                if isinstance(step, Finished):
                    return step.answer
        finally:
            steps.close()
        raise AssertionError("an answer ended without its last step")

    def steps(self, request: Request, *, model: str | None = None) -> Steps:
        """Answer step by step: sources, extract, checked sentences, the whole.

        Closing what is returned, from any thread, ends the generation. This and every step
        raise brake.StoppedError while the emergency brake is on. While the model is being
        loaded in the background, answers are quoted from posts; one that is named is loaded
        first. Raises ValueError where there is none of that name.
        """
        self.brake.require_released()
        if model is not None and not self.names.knows(model):
            raise ValueError(f"there is no model {model!r} here; `madang releases` lists them")
        lease = self.model.lease(model)
        engine = AnswersEngine(lease) if lease.engine is not None else None
        answerer = Answerer(CommunityPosts(self.log, self.index), engine)
        return Steps(
            lambda: answerer.steps(request),
            engine,
            require=self.brake.require_released,
            usable=self._may_ground,
        )

    def switch(self, model: str) -> None:
        """Let another model speak from now on, also after a restart; no answer is cut off.

        Raises ValueError where there is none of that name or it cannot run; the one that speaks
        then goes on.
        """
        if not self.names.knows(model):
            raise ValueError(f"there is no model {model!r} here; `madang releases` lists them")
        problem = self.model.switch(model)
        if problem is not None:
            raise ValueError(f"{model} cannot speak: {problem}")
        write_speaking(self.folder.speaking, model)

    def post(self, post: str) -> Stored | None:
        """Return a post that may be seen, or none."""
        found = self.log.find([post]).get(post)
        return found if found is not None and found.allows("search") else None

    def thread(self, thread: str, *, limit: int = 20) -> list[Stored]:
        """Return the posts of a thread that may be seen, oldest first."""
        seen = [one for one in self.log.thread(thread) if one.allows("search")]
        return seen[:limit]

    def overview(self) -> Overview:
        """Return what the home holds."""
        posts, authors, sources = self.log.counts()
        newest = self.index.search("", limit=1, order="newest")
        return Overview(posts, authors, newest[0].post.created_at if newest else None, sources)

    @property
    def engine(self) -> Engine | None:
        """The model, loaded when it is first asked for; none where it cannot run."""
        return self.model.wait()

    # -- upkeep -----------------------------------------------------------------------------

    def rebuild(self) -> int:
        """Make the index again from the log; returns the number of posts in it."""
        self.index.rebuild()
        return len(self.index)

    def catch_up(self) -> None:
        """Bring the index up to the log, or wait for the process that does.

        Raises TimeoutError where that process stands still.
        """
        target = self.log.last_seq
        deadline = time.monotonic() + INDEX_WAIT_SECONDS
        # Also where nothing is new: a damaged part is built again then.
        self.index.follow()
        reached = self.index.cursor
        while reached < target:
            self.index.follow()
            if self.index.cursor > reached:
                reached = self.index.cursor
                deadline = time.monotonic() + INDEX_WAIT_SECONDS
            elif time.monotonic() > deadline:
                raise TimeoutError(
                    f"another process holds the index of {self.folder.root} and does not "
                    "advance; end it and run `madang rebuild`"
                )
            else:
                time.sleep(0.05)

    def follow_in_background(self) -> None:
        """Keep the index up with the log, remove erased bytes, and mind the emergency brake."""
        if self._following is not None:
            return
        self._following = Following(
            self.log,
            self.index,
            others=self.folder.corpus.is_dir,
            purge_others=self._purge_learning,
        )
        self._following.start()
        self._brake_watch = threading.Thread(
            target=self.brake.watch, args=(self._cancel, self._ended), daemon=True
        )
        self._brake_watch.start()

    def learn_in_background(self, minutes: float) -> None:
        """Have the community's own model learn for `minutes`, at the lowest priority.

        It begins as soon as the packages for it are installed. Where its release passes its
        checks, it takes over the conversation, unless a model was named when the home was opened;
        then it can be chosen.
        """
        take_over = self.switch if self.names.given is None else lambda release: None
        self.learn_with(BackgroundLearner(self.folder, self.log, minutes, take_over=take_over))

    def learn_with(self, learner: BackgroundLearner) -> None:
        """Start a learner, which is closed with the home; one that is there already stays."""
        if self._learner is None:
            self._learner = learner
            learner.start()

    @property
    def learning_status(self) -> LearningStatus:
        """What the model in the background does now."""
        return self._learner.status if self._learner is not None else LearningStatus("off")

    def stop(self) -> None:
        """Pull the emergency brake: within a second nothing is generated any more."""
        self.brake.pull()
        self._cancel()

    def start(self) -> None:
        """Release the emergency brake."""
        self.brake.release()

    @property
    def stopped(self) -> bool:
        """Whether the emergency brake is on."""
        return self.brake.on

    def _may_ground(self, posts: Sequence[str]) -> bool:
        """Return whether all of these posts may be answered from now."""
        found = self.log.find(posts)
        return all(post in found and found[post].allows("ground") for post in posts)

    def _cancel(self) -> None:
        self.model.cancel()

    def _follow_now(self) -> None:
        """Apply what was just appended, unless the background does it."""
        if self._following is None:
            self.catch_up()

    def _purge(self) -> None:
        """Remove erased bytes from files, unless the background does it."""
        if self._following is None:
            self._purge_learning()
            self.log.truncate()
            self.index.purge()

    def _purge_learning(self) -> None:
        """Remove erased posts from what models learn from; a run that reads them begins anew."""
        removed = purge_corpora(self.folder, self.log)
        if self._learner is not None:
            self._learner.corpora_purged(removed)

    def _source_of(self, author: str, source: str | None) -> str:
        sources = [source] if source is not None else self.log.sources_of(author)
        if len(sources) == 1:
            return sources[0]
        if not sources:
            raise ValueError(f"no post here is by {author!r}")
        raise ValueError(
            f"{author!r} stands for different people in {', '.join(sources)}; name the source"
        )
