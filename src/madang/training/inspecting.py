"""What a file of examples would train: which tokens, how many, and which lines are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from madang.training.data_files import (
    BadLine,
    Conversation,
    DataKind,
    PostLine,
    Preference,
    detect_kind,
    read_data_file,
)
from madang.training.preference import encode_pair
from madang.training.supervised import Encode, Sample, encode_sample, trained_runs

if TYPE_CHECKING:
    from rich.text import Text

SAMPLES: Final = 3
PROBLEMS: Final = 20
# Marks around what is trained where there are no colours.
OPEN: Final = "⟦"
CLOSE: Final = "⟧"


class Decoder(Protocol):
    """Turns token ids into text."""

    def bytes_of(self, ids: list[int]) -> bytes:
        """Return the UTF-8 bytes of ids, special tokens by their names."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a sample: its text, and whether its tokens are trained."""

    text: str
    tokens: int
    trained: bool


@dataclass(frozen=True, slots=True)
class InspectedSample:
    """A sample as the model sees it. `part` is `chosen` or `rejected` for a preference."""

    line: int
    part: str | None
    spans: tuple[Span, ...]

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(span.tokens for span in self.spans)

    @property
    def trained(self) -> int:
        """Trained tokens."""
        return sum(span.tokens for span in self.spans if span.trained)


@dataclass(frozen=True, slots=True)
class Inspection:
    """A file of examples looked through from beginning to end.

    `samples` are the first few; `problems` one sentence for each bad line, as many as were asked
    for; `bad` counts all bad lines. `longest` and `longest_line` are of the longest sample, in
    tokens; `too_long` counts samples (pairs) longer than `length`, which training leaves out.
    """

    file: str
    kind: DataKind
    examples: int
    bad: int
    tokens: int
    trained: int
    longest: int
    longest_line: int | None
    length: int | None
    too_long: int
    samples: tuple[InspectedSample, ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "file": self.file,
            "kind": self.kind,
            "examples": self.examples,
            "bad": self.bad,
            "tokens": self.tokens,
            "trained": self.trained,
            "longest": {"tokens": self.longest, "line": self.longest_line},
            "length": self.length,
            "too_long": self.too_long,
            "samples": [
                {
                    "line": sample.line,
                    "part": sample.part,
                    "tokens": sample.tokens,
                    "trained": sample.trained,
                    "spans": [
                        {"text": span.text, "tokens": span.tokens, "trained": span.trained}
                        for span in sample.spans
                    ],
                }
                for sample in self.samples
            ],
            "problems": list(self.problems),
        }


def inspect(
    path: Path,
    encode: Encode,
    decoder: Decoder,
    *,
    end: int,
    length: int | None = None,
    samples: int = SAMPLES,
    problems: int = PROBLEMS,
) -> Inspection:
    """Read a file of conversations or preferences and say what would be trained.

    `end` is the token that ends a message; `length` the longest sample that training takes. Raises
    DataFileError only where the file as a whole cannot be read or holds posts, of which every
    token is trained.
    """
    kind = detect_kind(path)
    examples = bad = tokens = trained = longest = too_long = 0
    longest_line = None
    shown: list[InspectedSample] = []
    sentences: list[str] = []
    for one in read_data_file(path, kind):
        try:
            parts = list(_parts(one, encode, end))
        except ValueError as error:
            bad += 1
            if len(sentences) < problems:
                told = str(error)
                named = isinstance(one, BadLine)
                sentences.append(told if named else f"{path}: line {one.line}: {told}")
            continue
        examples += 1
        size = sum(len(sample.ids) for _, sample in parts)
        tokens += size
        trained += sum(int(sample.trained.sum()) for _, sample in parts)
        too_long += length is not None and size > length
        if size > longest:
            longest, longest_line = size, one.line
        if examples <= samples:
            shown += [InspectedSample(one.line, part, spans(s, decoder)) for part, s in parts]
    return Inspection(
        str(path), kind, examples, bad, tokens, trained, longest, longest_line, length, too_long,
        tuple(shown), tuple(sentences),
    )  # fmt: skip


def _parts(
    one: Conversation | Preference | PostLine | BadLine, encode: Encode, end: int
) -> Iterator[tuple[str | None, Sample]]:
    if isinstance(one, BadLine):
        raise ValueError(one.sentence)
    if isinstance(one, PostLine):
        raise ValueError("is a post; of posts every token is trained, so there is nothing to mark")
    if isinstance(one, Conversation):
        yield None, encode_sample(one.line, one.messages, encode, end=end)
    else:
        pair = encode_pair(one, encode, end=end)
        yield "chosen", pair.chosen
        yield "rejected", pair.rejected


def spans(sample: Sample, decoder: Decoder) -> tuple[Span, ...]:
    """Cut a sample into stretches that are trained and stretches that are not.

    A character whose bytes are shared between two stretches, which byte-level tokens can do,
    stands as U+FFFD in both.
    """
    found = []
    at = 0
    for start, stop in [*trained_runs(sample.trained), (len(sample.ids), len(sample.ids))]:
        for first, last, is_trained in ((at, start, False), (start, stop, True)):
            if first < last:
                raw = decoder.bytes_of(sample.ids[first:last].tolist())
                found.append(Span(raw.decode("utf-8", "replace"), last - first, is_trained))
        at = stop
    return tuple(found)


def as_plain(inspection: Inspection) -> str:
    """Return the inspection as plain text, with marks around what is trained."""
    lines = [_summary(inspection)]
    for sample in inspection.samples:
        lines += ["", _heading(sample)]
        marked = (f"{OPEN}{s.text}{CLOSE}" if s.trained else s.text for s in sample.spans)
        lines.append("".join(marked).rstrip("\n"))
    return "\n".join([*lines, *_problem_lines(inspection)])


def as_rich(inspection: Inspection) -> Text:
    """Return the inspection as rich text: what is trained stands in bold green."""
    from rich.text import Text

    text = Text(_summary(inspection) + "\n")
    for sample in inspection.samples:
        text.append(f"\n{_heading(sample)}\n", "bold")
        for span in sample.spans:
            text.append(span.text, "bold green" if span.trained else "dim")
        text.append("" if text.plain.endswith("\n") else "\n")
    for line in _problem_lines(inspection):
        text.append(f"{line}\n", "red")
    return text


def _summary(found: Inspection) -> str:
    share = found.trained / found.tokens if found.tokens else 0
    told = (
        f"{found.file}: {found.examples:,} {found.kind}, {found.tokens:,} tokens, of which "
        f"{found.trained:,} ({share:.0%}) are trained"
    )
    if found.longest_line is not None:
        told += f"; the longest has {found.longest:,} tokens, in line {found.longest_line:,}"
    if found.too_long:
        verb = "is" if found.too_long == 1 else "are"
        told += f"; {found.too_long:,} {verb} longer than {found.length:,} tokens and left out"
    return told


def _heading(sample: InspectedSample) -> str:
    part = f", {sample.part}" if sample.part else ""
    return f"line {sample.line:,}{part}: {sample.trained:,} of {sample.tokens:,} tokens trained"


def _problem_lines(found: Inspection) -> list[str]:
    if not found.bad:
        return []
    others = found.bad - len(found.problems)
    more = [f"and {others:,} more bad lines"] if others > 0 else []
    lines = "1 line" if found.bad == 1 else f"{found.bad:,} lines"
    return ["", f"{lines} cannot be trained on:", *found.problems, *more]
