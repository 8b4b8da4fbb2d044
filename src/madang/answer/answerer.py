"""Answers a request: route, evidence, extract, draft, check, or an honest no."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from madang.answer import draft, messages, talk
from madang.answer.answer import (
    Answer,
    Citation,
    ExtractReady,
    Finished,
    Request,
    Route,
    Sentence,
    SentenceChecked,
    SourcesFound,
    Step,
)
from madang.answer.check import supported
from madang.answer.evidence import Candidate, Evidence, gather
from madang.answer.extract import as_of, extract, keeps_the_answer, quote, spans_of
from madang.answer.history import in_context
from madang.answer.hostile import speaks_to_a_model
from madang.answer.question import Question, analyse
from madang.answer.recency import overtakes
from madang.answer.retriever import Retriever
from madang.answer.route import Routed, is_general_knowledge, route, talk_kind
from madang.answer.sufficiency import is_enough
from madang.engines.engine import Engine, EngineError, Sampling
from madang.posts import Post
from madang.search.hit import Filters
from madang.text import sentences

SHOWN: Final = 5
NEAREST: Final = 3
NEWS: Final = 4
DEADLINE_S: Final = 15.0
LONGEST_QUESTION: Final = 2000
SHORT: Final = 4
# Words of a question for what is said; they name nothing that it is said of.
SAYING: Final = frozenset(
    """
    post posts opinion opinions view views reaction reactions review reviews news update updates
    discussion summary summarise summarize list show think thinking feel feeling talking saying
    얘기 이야기 소식 글 의견 반응 후기 여론 생각 나온 올라온 정리 요약 모아 보여 어땠 어떤 갔다 온
    전부 찾아
    """.split()  # noqa: SIM905
)


@dataclass(slots=True)
class _Stopwatch:
    """Milliseconds that each stage took."""

    started: float = field(default_factory=time.perf_counter)
    took: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("search", "extract", "draft", "check", "total"), 0.0)
    )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.took[name] += (time.perf_counter() - begun) * 1e3

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def finish(self) -> dict[str, float]:
        self.took["total"] = self.seconds * 1e3
        return dict(self.took)


class Answerer:
    """Answers requests from posts. Thread-safe where its retriever and engine are.

    Without an engine the answers are quotes and the program's own words.
    """

    def __init__(
        self, retriever: Retriever, engine: Engine | None = None, *, deadline_s: float = DEADLINE_S
    ) -> None:
        """Answer from a retriever's posts; `deadline_s` bounds what the engine may take."""
        self._retriever = retriever
        self._engine = engine
        self._deadline_s = deadline_s

    def answer(self, request: Request) -> Answer:
        """Answer a request and return when the whole answer is there."""
        for step in self.steps(request):
            if isinstance(step, Finished):
                return step.answer
        raise AssertionError("the last step is Finished")

    def steps(self, request: Request) -> Iterator[Step]:
        """Yield the steps of an answer: sources, quotes, checked sentences, the whole answer.

        Closing the iterator ends a generation that runs.
        """
        watch = _Stopwatch()
        asked = request.question.strip()[:LONGEST_QUESTION]
        question = in_context(analyse(asked), request.history)
        routed = route(asked, only_posts=request.only is not None)
        if not asked:
            yield from self._own(
                "help", messages.EMPTY_QUESTION[question.lang], request, question, watch
            )
        elif routed.route == "help":
            words = messages.HELP[routed.help_topic][question.lang]
            yield from self._own("help", words, request, question, watch)
        elif routed.route == "talk":
            yield from self._talk(request, question, watch)
        else:
            yield from self._from_posts(request, question, routed, watch)

    # -- from the posts ---------------------------------------------------------------------

    def _from_posts(
        self, request: Request, question: Question, routed: Routed, watch: _Stopwatch
    ) -> Iterator[Step]:
        if routed.topic == "news":
            yield from self._news(request, question, watch)
            return
        if routed.topic == "what is said":
            question = question.without(SAYING)
        with watch.stage("search"):
            evidence = gather(self._retriever, question, only=request.only)
            chosen = self._chosen(question, evidence, routed)
        if not chosen:
            if request.only is None and is_general_knowledge(request.question):
                yield from self._talk(request, question, watch)
            else:
                yield from self._abstain(request, question, evidence, watch)
            return
        shown = tuple(
            one.post for one in [*chosen, *(c for c in evidence.candidates if c not in chosen)]
        )[:SHOWN]
        yield SourcesFound("posts", shown)
        with watch.stage("extract"):
            quotes = extract(chosen)
        yield ExtractReady(quotes)
        written: tuple[Sentence, ...] = ()
        if routed.topic == "one thing":
            written = yield from self._draft(request, question, chosen, watch)
        answer = self._posts_answer(request, question, written or quotes, shown, watch)
        yield Finished(answer)

    def _chosen(
        self, question: Question, evidence: Evidence, routed: Routed
    ) -> tuple[Candidate, ...]:
        """Return the candidates that the answer is made of, none where they do not answer."""
        if routed.topic == "one thing":
            if not is_enough(question, evidence):
                return ()
            return answering(question, evidence)
        return on_topic(evidence)

    def _news(self, request: Request, question: Question, watch: _Stopwatch) -> Iterator[Step]:
        with watch.stage("search"):
            hits = self._retriever.search(
                "", limit=5 * NEWS, filters=Filters(only=request.only), order="newest"
            )
            posts = [hit.post for hit in hits if not speaks_to_a_model(hit.post.text)]
            # What starts a conversation tells more than a reply to it.
            posts.sort(key=lambda post: post.reply_to is not None)
            newest = tuple(posts[:NEWS])
        if not newest:
            yield from self._own(
                "posts", messages.NO_POSTS[question.lang], request, question, watch
            )
            return
        yield SourcesFound("posts", newest)
        with watch.stage("extract"):
            quotes = tuple(quote(post, *spans_of(post)[0]) for post in newest)
        yield ExtractReady(quotes)
        yield Finished(self._posts_answer(request, question, quotes, newest, watch))

    def _abstain(
        self, request: Request, question: Question, evidence: Evidence, watch: _Stopwatch
    ) -> Iterator[Step]:
        nearest = tuple(one.post for one in evidence.candidates[:NEAREST])
        yield SourcesFound("posts", nearest)
        words = messages.ABSTENTION if nearest else messages.NOTHING_FOUND
        yield Finished(
            Answer(
                question=request.question,
                lang=question.lang,
                route="posts",
                abstained=True,
                sentences=(Sentence(words[question.lang], "own"),),
                evidence=nearest,
                as_of=as_of(nearest),
                engine=self._engine_name,
                took_ms=watch.finish(),
            )
        )

    def _draft(
        self,
        request: Request,
        question: Question,
        chosen: Sequence[Candidate],
        watch: _Stopwatch,
    ) -> Generator[Step, None, tuple[Sentence, ...]]:
        """Yield checked sentences of prose; return them, or none where the quotes are better."""
        engine = self._engine
        if engine is None:
            return ()
        with watch.stage("draft"):
            able = talk.writes(engine, question.lang)
        left = self._deadline_s - watch.seconds
        if not able or left <= 0:
            return ()
        # The best post alone: those beside it may be the older word on the same matter.
        given = chosen[:1]
        sampling = Sampling(
            max_tokens=min(request.max_tokens, draft.MOST_TOKENS),
            temperature=request.temperature,
            seed=request.seed,
            stop=request.stop,
            grammar=draft.grammar(len(given)) if engine.supports("grammar") else None,
            deadline_s=left,
        )
        passed: list[Sentence] = []
        told = 0
        drafted = draft.write(engine, request.question, question.lang, given, sampling=sampling)
        with closing(drafted):
            while True:
                with watch.stage("draft"):
                    try:
                        written = next(drafted, None)
                    except EngineError:
                        written = None
                if written is None or watch.seconds > self._deadline_s:
                    break
                with watch.stage("check"):
                    sentence = _checked(written, [one.post for one in given])
                    if sentence is None or sentence in passed:
                        continue
                    passed.append(sentence)
                    right = keeps_the_answer(question, chosen[0], passed)
                # Nothing leaves before the prose holds what the quotes answer with.
                if right:
                    for ready in passed[told:]:
                        yield SentenceChecked(ready)
                    told = len(passed)
        return tuple(passed[:told])

    def _posts_answer(
        self,
        request: Request,
        question: Question,
        sentences: tuple[Sentence, ...],
        shown: tuple[Post, ...],
        watch: _Stopwatch,
    ) -> Answer:
        by_id = {post.id: post for post in shown}
        cited: list[Post] = []
        for sentence in sentences:
            # The promise of the whole program, kept in this one place: every citation is a post
            # of the evidence, and its quote stands there.
            assert sentence.citations, "a sentence from the posts cites one"
            for citation in sentence.citations:
                post = by_id[citation.post]
                assert post.text[citation.start : citation.end] == citation.quote
                cited.append(post)
        return Answer(
            question=request.question,
            lang=question.lang,
            route="posts",
            abstained=False,
            sentences=sentences,
            evidence=shown,
            as_of=as_of(cited),
            engine=self._engine_name,
            took_ms=watch.finish(),
        )

    # -- in own words -----------------------------------------------------------------------

    def _talk(self, request: Request, question: Question, watch: _Stopwatch) -> Iterator[Step]:
        with watch.stage("draft"):
            reply = self._reply(request, question.lang, watch)
        with watch.stage("check"):
            said = " ".join([request.question, *(turn.content for turn in request.history)])
            about = bool(reply) and talk.claims_about_community(reply, said, self._retriever)
        if about:
            # A claim about the community has to stand on posts, or it does not leave.
            with watch.stage("search"):
                evidence = gather(self._retriever, question)
            if is_enough(question, evidence):
                yield from self._from_posts(request, question, Routed("posts"), watch)
                return
            reply = ""
        words = reply or messages.TALK[talk_kind(request.question)][question.lang]
        yield from self._own("talk", words, request, question, watch)

    def _reply(self, request: Request, lang: Literal["ko", "en"], watch: _Stopwatch) -> str:
        if talk_kind(request.question) != "other" and len(request.question.split()) <= SHORT:
            # A bare greeting needs no model, and a small one greets strangely.
            return ""
        engine = self._engine
        wanted = talk.wanted_language(request.question, lang)
        # A model that does not write Korean cannot read it either.
        if engine is None or not (talk.writes(engine, wanted) and talk.writes(engine, lang)):
            return ""
        sampling = Sampling(
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            seed=request.seed,
            stop=request.stop,
            deadline_s=max(0.1, self._deadline_s - watch.seconds),
        )
        conversation = talk.conversation(request.question, lang, request.history)
        try:
            reply = "".join(draft.in_time(engine, conversation, sampling)).strip()
        except EngineError:
            return ""
        return reply if talk.readable(reply, wanted, request.question) else ""

    def _own(
        self, where: Route, words: str, request: Request, question: Question, watch: _Stopwatch
    ) -> Iterator[Step]:
        sentence = Sentence(words, "own")
        yield SourcesFound(where, ())
        yield SentenceChecked(sentence)
        yield Finished(
            Answer(
                question=request.question,
                lang=question.lang,
                route=where,
                abstained=where == "posts",
                sentences=(sentence,),
                evidence=(),
                as_of=None,
                engine=self._engine_name,
                took_ms=watch.finish(),
            )
        )

    @property
    def _engine_name(self) -> str:
        return self._engine.name if self._engine is not None else ""


def answering(question: Question, evidence: Evidence) -> tuple[Candidate, ...]:
    """Return the best candidate and those nearly as good that it does not overtake."""
    best, *others = evidence.candidates
    near = [one for one in others[:2] if one.score >= NEARLY * best.score]
    return (best, *(one for one in near if not overtakes(best, one, question, evidence.needs)))


NEARLY: Final = 0.75


def on_topic(evidence: Evidence) -> tuple[Candidate, ...]:
    """Return the newest of the posts that speak of what is asked about, none where none does."""
    heaviest = max((need.weight for need in evidence.needs), default=0.0)
    named = [i for i, need in enumerate(evidence.needs) if need.weight >= 0.7 * heaviest]
    told = [
        one
        for one in evidence.candidates
        if not one.post.text.rstrip().endswith(("?", "？"))
        and one.covered >= 0.5
        and any(one.had[i] >= 0.6 for i in named)
    ]
    best = max((one.covered for one in told), default=0.0)
    near = [one for one in told if one.covered >= 0.8 * best]
    return tuple(sorted(near[: 3 * NEWS], key=lambda one: one.when, reverse=True)[:NEWS])


def _checked(written: draft.Drafted, posts: Sequence[Post]) -> Sentence | None:
    """Return a drafted sentence with the quotes that support it, none where they do not.

    What the engine wrote as one may be several sentences; each has to be supported.
    """
    spans = sentences(written.text)
    told = [written.text[start:end] for start, end in spans]
    if len(set(told)) < len(told):
        return None
    citations: dict[Citation, None] = {}
    for part in told:
        borne = False
        for number in written.cited:
            verdict = supported(part, [posts[number]])
            if verdict.supported:
                post = posts[number]
                text = post.text[verdict.start : verdict.end]
                citations[Citation(post.id, text, verdict.start, verdict.end)] = None
                borne = True
        if not borne:
            return None
    return Sentence(written.text, "generated", tuple(citations)) if citations else None
