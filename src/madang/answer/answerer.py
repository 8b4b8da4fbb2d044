"""Answers a request: route, evidence, extract, draft, check, or an honest no."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from madang.answer import messages
from madang.answer.answer import (
    Answer,
    ExtractReady,
    Finished,
    Request,
    Sentence,
    SentenceChecked,
    SourcesFound,
    Step,
)
from madang.answer.evidence import Evidence, gather
from madang.answer.extract import as_of, extract
from madang.answer.question import Question, analyse
from madang.answer.retriever import Retriever
from madang.answer.route import route
from madang.answer.sufficiency import is_enough
from madang.engines.engine import Engine
from madang.posts import Post


class Answerer:
    """Answers questions from posts; without an engine the answers are quotes."""

    def __init__(self, retriever: Retriever, engine: Engine | None = None) -> None:
        self._retriever = retriever
        self._engine = engine

    def answer(self, request: Request) -> Answer:
        """Answer a request at once."""
        for step in self.steps(request):
            if isinstance(step, Finished):
                return step.answer
        raise AssertionError("every answer ends with Finished")

    def steps(self, request: Request) -> Iterator[Step]:
        """Answer a request step by step."""
        started = time.perf_counter()
        took = dict.fromkeys(("search", "extract", "draft", "check", "total"), 0.0)
        question = analyse(request.question)
        evidence = gather(self._retriever, question, only=request.only)
        took["search"] = (time.perf_counter() - started) * 1e3
        posts = tuple(c.post for c in evidence.candidates[:5])
        yield SourcesFound("posts", posts)
        if is_enough(question, evidence):
            quotes = extract(evidence.candidates)
            took["extract"] = (time.perf_counter() - started) * 1e3 - took["search"]
            yield ExtractReady(quotes)
            took["total"] = (time.perf_counter() - started) * 1e3
            yield Finished(Answer(request.question, question.lang, "posts", False, quotes, posts, as_of(posts), "", took))
        else:
            took["total"] = (time.perf_counter() - started) * 1e3
            yield Finished(Answer(request.question, question.lang, "posts", True, (Sentence(messages.ABSTENTION[question.lang],"own"),), posts[:3], as_of(posts[:3]), "", took))
