"""Many questions or queries from one file, with everything loaded once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from madang.home import Home
from madang.posts.consent import parse_purposes as _purposes
from madang.search import Filters, parse_moment

Work = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def parse_map(text: str | None) -> dict[str, str] | None:
    """Read `text=review,id=review_id`. Raises ValueError naming the part that is not a pair."""
    if text is None:
        return None
    columns: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        if not (name.strip() and equals and column.strip()):
            raise ValueError(f"--map takes field=column,…; {part!r} is not such a pair")
        columns[name.strip()] = column.strip()
    return columns


def parse_purposes(text: str, allowed: bool) -> dict[str, bool]:
    """Read `train,ground` as what an author says of these purposes."""
    return {str(purpose): allowed for purpose in _purposes(text)}


def search_line(home: Home, limit: int) -> Work:
    """Return what answers one line `{"id", "query", …filters}` of a batch of searches."""

    def work(line: Mapping[str, Any]) -> Mapping[str, Any]:
        order = line.get("order", "relevance")
        if order not in ("relevance", "newest"):
            raise ValueError(f"order is relevance or newest, not {order!r}")
        result = home.search(
            str(line["query"]),
            limit=int(line.get("limit", limit)),
            filters=Filters(
                authors=_strings(line, "author"),
                langs=_strings(line, "lang"),
                sources=_strings(line, "source"),
                since=parse_moment("since", str(line["since"])) if line.get("since") else None,
                until=parse_moment("until", str(line["until"])) if line.get("until") else None,
                thread=line.get("thread"),
                only=_strings(line, "only") if line.get("only") is not None else None,
            ),
            order=order,
        )
        return result.to_dict()

    return work


def ask_line(home: Home) -> Work:
    """Return what answers one line `{"id", "question", "only"?}` of a batch of questions."""

    def work(line: Mapping[str, Any]) -> Mapping[str, Any]:
        only = _strings(line, "only") if line.get("only") is not None else None
        return home.ask(str(line["question"]), only=only).to_dict()

    return work


def run(path: Path, out: Path, work: Work) -> dict[str, Any]:
    """Work through JSON lines and write one result a line, each with its line's id.

    A line that cannot be worked on gives `{"id", "error"}` and the next one is taken. The file
    of results appears when it is whole. Returns how many lines, how many failed, and seconds.
    """
    started = time.monotonic()
    lines = failed = 0
    unfinished = out.with_name(f".{out.name}.unfinished")
    with path.open("rb") as questions, unfinished.open("wb") as results:
        for number, raw in enumerate(questions, start=1):
            if not raw.strip():
                continue
            lines += 1
            name: Any = number
            try:
                line = orjson.loads(raw)
                if not isinstance(line, dict):
                    raise ValueError("the line is not a JSON object")
                name = line.get("id", number)
                result = {"id": name, **work(line)}
            except (ValueError, KeyError, TypeError) as error:
                failed += 1
                reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
                result = {"id": name, "error": f"{path.name}: line {number}: {reason}"}
            results.write(orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))
            results.flush()
    unfinished.replace(out)
    return {"lines": lines, "failed": failed, "seconds": round(time.monotonic() - started, 3)}


def _strings(line: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = line.get(name)
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
