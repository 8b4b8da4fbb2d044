"""Files of examples: what is read, what is refused, and with which sentence."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from chats import conversation, write_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.training.data_files import (
    MAX_LINE_BYTES,
    BadLine,
    Conversation,
    DataFileError,
    Message,
    PostLine,
    Preference,
    detect_kind,
    read_conversations,
    read_data_file,
    read_preferences,
)

HELLO = conversation("Hello?", "Hello.")
PAIR = {"prompt": "Hello?", "chosen": "Hello.", "rejected": "Go away."}
USER, GOOD, BAD = Message("user", "Hello?"), Message("assistant", "Hello."), Message(
    "assistant", "Go away."
)  # fmt: skip


def one_problem(path: Path) -> str:
    found = [one for one in read_data_file(path, "conversations") if isinstance(one, BadLine)]
    assert len(found) == 1
    return found[0].sentence


def test_the_kind_is_detected(tmp_path: Path) -> None:
    kinds = {
        "conversations": HELLO,
        "preferences": PAIR,
        "posts": {"id": "town:1", "text": "The ferry is late."},
    }
    for kind, row in kinds.items():
        assert detect_kind(write_lines(tmp_path / kind, [row])) == kind
    read = list(read_data_file(tmp_path / "posts"))
    assert read == [PostLine(1, {"id": "town:1", "text": "The ferry is late."})]


def test_conversations_are_read_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(f"\n{json.dumps(HELLO)}\r\n\n{json.dumps(HELLO)}", "utf-8")
    assert read_conversations(path) == [
        Conversation(2, (USER, GOOD)),
        Conversation(4, (USER, GOOD)),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(HELLO).encode())
    assert len(read_conversations(path)) == 1


@pytest.mark.parametrize(
    "row",
    [
        PAIR,
        {
            "prompt": [USER.plain()],
            "chosen": [GOOD.plain()],
            "rejected": [BAD.plain()],
        },
        # The prompt may stand in both answers, beside itself or alone.
        {
            "prompt": "Hello?",
            "chosen": [USER.plain(), GOOD.plain()],
            "rejected": [USER.plain(), BAD.plain()],
        },
        {"chosen": [USER.plain(), GOOD.plain()], "rejected": [USER.plain(), BAD.plain()]},
    ],
)
def test_every_form_of_a_preference_means_the_same(tmp_path: Path, row: object) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", [row])
    assert read_preferences(path) == [Preference(1, (USER,), (GOOD,), (BAD,))]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xff\xfe", "is not UTF-8 at byte 1"),
        (b'{"messages": "caf\xe9"}', "is not UTF-8 at byte 18"),
        (b'{"messages": NaN}', "is not valid JSON"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[1]", "is a list and not an object"),
        (b"7", "is a number and not an object"),
        (b"{}", "has no messages, but no fields at all"),
        (b'{"text": "a post"}', "has no messages, but text"),
        (b'{"messages": "hello"}', "has a string as messages"),
        (b'{"messages": []}', "has no message in messages"),
        (b'{"messages": [7]}', "has a number as messages[0]"),
        (b'{"messages": [{"role": "bot", "content": ""}]}', "has the role 'bot' in messages[0]"),
        (b'{"messages": [{"role": null, "content": ""}]}', "has the role null in messages[0]"),
        (b'{"messages": [{"role": "user", "content": ["x"]}]}', "has a list as content of"),
    ],
)
def test_a_bad_line_is_one_sentence(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(json.dumps(HELLO).encode() + b"\n" + raw + b"\n" + json.dumps(HELLO).encode())
    if raw == b"\xff\xfe":
        assert len(list(read_data_file(path))) == 3
    sentence = one_problem(path)
    assert sentence.startswith(f"{path}: line 2: ")
    assert said in sentence
    assert "\n" not in sentence
    with pytest.raises(DataFileError, match="line 2"):
        read_conversations(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"chosen": "a", "rejected": "b"}, "has no prompt"),
        ({"prompt": "a", "chosen": "b"}, "has no rejected"),
        ({"prompt": "", "chosen": "a", "rejected": "b"}, "has an empty prompt"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "nothing is preferred"),
        ({"prompt": 7, "chosen": "a", "rejected": "b"}, "has a number as prompt"),
        ({"prompt": "a", "chosen": [], "rejected": "b"}, "has no message in chosen"),
    ],
)
def test_a_bad_preference_is_one_sentence(tmp_path: Path, row: object, said: str) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", [PAIR, row])
    with pytest.raises(DataFileError, match=said):
        read_preferences(path)


def test_a_huge_line_is_left_out_and_its_neighbours_are_read(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    huge = json.dumps(conversation("Hello?", "x" * (2 * MAX_LINE_BYTES)))
    path.write_text(f"{json.dumps(HELLO)}\n{huge}\n{json.dumps(HELLO)}\n", "utf-8")
    first, bad, last = read_data_file(path)
    assert isinstance(first, Conversation)
    assert isinstance(bad, BadLine)
    assert bad.sentence == f"{path}: line 2: is longer than 8 MB"
    assert last == Conversation(3, (USER, GOOD))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no examples"),
        (b"\n \n", "holds no examples"),
        ("{}".encode("utf-16"), "is UTF-16"),
        (gzip.compress(b"{}", mtime=0), "is packed; unpack it first"),
        (b'{"a": 1}', "line 1: has neither messages"),
        (b"nonsense\n", "line 1: is not valid JSON"),
    ],
)
def test_a_file_without_examples_says_so(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=said):
        list(read_data_file(path))


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(DataFileError, match="cannot be read"):
            list(read_data_file(path))


def test_another_kind_names_its_objective(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", [PAIR])
    with pytest.raises(DataFileError, match="--objective dpo"):
        read_conversations(path)


def test_many_bad_lines_are_counted(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "chats.jsonl", [HELLO, *([{"messages": 1}] * 50)])
    with pytest.raises(DataFileError, match=r"line 2.*line 3.*line 4.*47 more lines"):
        read_conversations(path)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "role", "content", "prompt", "chosen", "rejected", "text"]
            ),
            inner | st.sampled_from(["user", "assistant"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
lines = values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


@given(st.lists(lines, max_size=6))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_each_line_is_an_example_or_a_sentence(
    tmp_path: Path, rows: list[bytes]
) -> None:
    path = tmp_path / "any.jsonl"
    path.write_bytes(b"\n".join(rows))
    try:
        found = list(read_data_file(path))
    except DataFileError as error:
        assert str(path) in str(error)
        return
    numbers = [one.line for one in found]
    assert numbers == sorted(set(numbers))
    for one in found:
        if isinstance(one, BadLine):
            assert one.sentence.startswith(f"{path}: line {one.line}: ")
        elif isinstance(one, Preference):
            assert one.prompt
            assert one.chosen != one.rejected
