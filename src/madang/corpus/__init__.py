"""From the log to what a model is trained on: curation, tokens, batches, and their lineage.

Names are loaded when they are first used: erasure (`purge`) must also work where the parts for
training are not installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from madang.corpus.purge import purge

if TYPE_CHECKING:
    from madang.corpus.batches import Batch, Batches
    from madang.corpus.corpus import Corpus
    from madang.corpus.curated import Curated, Document
    from madang.corpus.curation import NothingToTrainError, PostsWithdrawnError, curate
    from madang.corpus.decision import Decision, Reason
    from madang.corpus.lineage import PostPart, posts_of_step, steps_of_post
    from madang.corpus.packing import tokenize, training_texts
    from madang.corpus.policy import Policy
    from madang.corpus.text_files import corpus_from_text, documents_from_text

_ROOMS = {
    "Batch": "batches",
    "Batches": "batches",
    "Corpus": "corpus",
    "Curated": "curated",
    "Decision": "decision",
    "Document": "curated",
    "NothingToTrainError": "curation",
    "Policy": "policy",
    "PostPart": "lineage",
    "PostsWithdrawnError": "curation",
    "Reason": "decision",
    "corpus_from_text": "text_files",
    "curate": "curation",
    "documents_from_text": "text_files",
    "posts_of_step": "lineage",
    "steps_of_post": "lineage",
    "tokenize": "packing",
    "training_texts": "packing",
}

__all__ = [
    "Batch",
    "Batches",
    "Corpus",
    "Curated",
    "Decision",
    "Document",
    "NothingToTrainError",
    "Policy",
    "PostPart",
    "PostsWithdrawnError",
    "Reason",
    "corpus_from_text",
    "curate",
    "documents_from_text",
    "posts_of_step",
    "purge",
    "steps_of_post",
    "tokenize",
    "training_texts",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its file."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"madang.corpus.{_ROOMS[name]}"), name)
