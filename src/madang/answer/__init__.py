"""Answers from posts: route, evidence, extract, draft, check; every quote can be opened."""

from madang.answer.answer import (
    Answer,
    Citation,
    ExtractReady,
    Finished,
    Request,
    Route,
    Sentence,
    SentenceChecked,
    SentenceKind,
    SourcesFound,
    Step,
    Turn,
)
from madang.answer.answerer import Answerer
from madang.answer.retriever import CommunityPosts, Retriever, SearchIndex

__all__ = [
    "Answer",
    "Answerer",
    "Citation",
    "CommunityPosts",
    "ExtractReady",
    "Finished",
    "Request",
    "Retriever",
    "Route",
    "SearchIndex",
    "Sentence",
    "SentenceChecked",
    "SentenceKind",
    "SourcesFound",
    "Step",
    "Turn",
]
