"""A small tokenizer with the chat's special tokens, and conversations for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from madang.text.chat_template import encode_chat
from madang.text.tokenizer import Tokenizer, train_tokenizer
from madang.training.supervised import Encode

TEXTS = [
    "The ferry to Dalseom leaves at nine, and the fare is 3,500 won.",
    "달섬 가는 배는 아홉 시에 떠나고, 뱃삯은 3,500원입니다. 섬에는 등대가 하나 있습니다.",
    "Where is the reading room? It is behind the harbour wall, on the left.",
    "열람실은 어디인가요? 방파제 뒤, 왼쪽에 있어요. 🙂",
    "system user assistant",
]
QUESTIONS = [
    ("When does the ferry leave?", "At nine."),
    ("뱃삯은 얼마예요?", "3,500원입니다."),
    ("Where is the reading room?", "It is behind the harbour wall, on the left."),
    ("등대가 있나요?", "네, 하나 있습니다. 섬의 끝에 있어요."),
    ("Thanks!", "🙂"),
]


@cache
def chat_tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS * 4, 400)


def encode() -> Encode:
    return partial(encode_chat, chat_tokenizer())


def end() -> int:
    found = chat_tokenizer().end_of_turn
    assert found is not None
    return found


def conversation(question: str, answer: str) -> dict[str, Any]:
    turns = [("user", question), ("assistant", answer)]
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def write_lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
