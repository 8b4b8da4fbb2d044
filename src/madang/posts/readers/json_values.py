"""JSON as programs really write it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

# Half of a surrogate pair, as cut by programs that count in UTF-16; it stands for no character.
_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def parse_json(raw: bytes) -> Any:
    """Return the value of JSON text; `NaN` and halves of characters are tolerated.

    Raises ValueError where it is no JSON, not UTF-8, or nested too deeply.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        if not (b"N" in raw or b"I" in raw or b"\\u" in raw):
            raise
    try:
        return json.loads(_LONE_SURROGATE.sub(b"", raw).decode())
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
