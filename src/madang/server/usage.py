"""How many tokens a conversation and its answer are."""

from __future__ import annotations

import math
from typing import Any, Final

from madang.engines import Engine, EngineError

# Of byte-level vocabularies, English takes about four bytes a token and Korean three to six.
_BYTES_PER_TOKEN: Final = 4


def count_usage(engine: Engine | None, asked: str, answered: str) -> dict[str, Any]:
    """Return OpenAI's `usage` of a conversation's text and an answer's.

    The embedded model that answered counts. Without it, or where asking would mean another
    request over the network, the counts are estimates and `estimated` says so.
    """
    counts = None
    if engine is not None and not engine.remote:
        try:
            counts = [len(engine.tokenize(text)) for text in (asked, answered)]
        except EngineError:
            counts = None
    estimated = counts is None
    prompt, completion = counts or [_estimate(asked), _estimate(answered)]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **({"estimated": True} if estimated else {}),
    }


def _estimate(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN)
