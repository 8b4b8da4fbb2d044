"""What `train inspect` shows: every token once, marked exactly where it is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chats import QUESTIONS, chat_tokenizer, conversation, encode, end, write_lines

from madang.training.data_files import DataFileError
from madang.training.inspecting import Inspection, as_plain, as_rich, inspect


def inspected(folder: Path, rows: list[object], length: int | None = None) -> Inspection:
    path = write_lines(folder / "examples.jsonl", rows)
    return inspect(path, encode(), chat_tokenizer(), end=end(), length=length)


def test_the_marks_stand_around_the_answers(tmp_path: Path) -> None:
    found = inspected(tmp_path, [conversation(*one) for one in QUESTIONS])
    text = as_plain(found)
    for _, answer in QUESTIONS[:3]:
        assert f"<|im_start|>assistant\n⟦{answer}<|im_end|>⟧" in text
    assert text.count("⟦") == 3
    assert found.examples == len(QUESTIONS)
    assert text.startswith(f"{found.file}: 5 conversations, {found.tokens:,} tokens, of which ")


def test_spans_hold_every_token_once(tmp_path: Path) -> None:
    rows = [conversation(*one) for one in QUESTIONS]
    found = inspected(tmp_path, rows)
    for sample, row in zip(found.samples, rows, strict=False):
        chat = encode()(row["messages"])
        assert sample.tokens == len(chat.ids)
        assert sample.trained == sum(chat.trained)
        whole = "".join(span.text for span in sample.spans)
        assert whole == chat_tokenizer().decode(chat.ids)


def test_colours_say_the_same(tmp_path: Path) -> None:
    text = as_rich(inspected(tmp_path, [conversation("Hello?", "At nine.")]))
    marked = [text.plain[one.start : one.end] for one in text.spans if one.style == "bold green"]
    assert marked == ["At nine.<|im_end|>"]


def test_both_answers_of_a_preference_are_shown(tmp_path: Path) -> None:
    found = inspected(tmp_path, [{"prompt": "Hello?", "chosen": "Hi.", "rejected": "No."}])
    assert [one.part for one in found.samples] == ["chosen", "rejected"]
    assert "line 1, rejected" in as_plain(found)
    assert "⟦Hi.<|im_end|>⟧" in as_plain(found)


def test_problems_and_lengths_are_told(tmp_path: Path) -> None:
    rows = [
        conversation("Hello?", "At nine."),
        {"messages": 7},
        {"messages": [{"role": "user", "content": "Hello?"}]},
        conversation("Hello?", "word " * 90),
    ]
    found = inspected(tmp_path, rows, length=64)
    assert (found.examples, found.bad, found.too_long, found.longest_line) == (2, 2, 1, 4)
    text = as_plain(found)
    assert f"{found.file}: line 2: has a number as messages" in text
    assert f"{found.file}: line 3: " in text
    assert "1 is longer than 64 tokens and left out" in text
    assert "2 lines cannot be trained on:" in text
    told = json.loads(json.dumps(found.to_json()))
    assert told["longest"] == {"tokens": found.longest, "line": 4}
    assert len(told["problems"]) == 2


def test_a_file_of_nonsense_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="has neither messages"):
        inspected(tmp_path, [{"a": 1}])
