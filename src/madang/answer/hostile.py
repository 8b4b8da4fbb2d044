"""Posts that speak to a machine instead of to people."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# Orders to a model, role tags and made-up citations. A post that has them is never evidence for
# anything but a question about the post itself.
_SPEAKS_TO_A_MODEL: Final = re.compile(
    r"<\|?/?(?:im_start|im_end|system|assistant|user|endoftext|eot_id|start_header_id|inst)\b"
    r"|\[/?(?:INST|SYS)\]|<</?SYS>>"
    r"|(?:^|\n|[.!?\]]\s)\s*#{0,3}\s*(?:system|assistant|developer)(?:\s+(?:prompt|message|note|override))?\s*:"
    r"|\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:previous|prior|above|earlier|all|your|any)\b"
    r".{0,30}\b(?:instructions?|prompts?|rules?|messages?|guidelines?|context|directions?)\b"
    r"|\byou are (?:now|no longer)\b.{0,40}\b(?:bot|assistant|model|ai|dan|mode)\b"
    r"|\b(?:ai|assistants?|chatbots?|language models?|llms?|bots?)\b.{0,20}\b(?:must|should|have to|reading this|are required)\b"
    r"|\b(?:new|updated) (?:system instructions?|instructions?\s*:)"
    r"|(?:이전|앞선|위의|기존|지금까지의?|모든)\s?(?:의\s?)?(?:지시|명령|규칙|프롬프트|지침|설정)[가-힣]*\s?(?:사항[을를은는]?\s?)?(?:은\s?|는\s?|을\s?|를\s?)?(?:모두\s?|전부\s?|다\s?)?(?:무시|잊|따르지|버리)"
    r"|(?:시스템|관리자)\s?(?:메시지|프롬프트|명령|지시)\s?[:：]"
    r"|(?:AI|에이아이|인공지능|챗봇|봇|어시스턴트|모델)\s?(?:은|는|이|가|에게|야|아)?[,\s].{0,20}(?:대답해|답해|말해|따라|출력)"
    r"|(?:너는|당신은)\s?(?:이제|지금)부터",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def speaks_to_a_model(text: str) -> bool:
    """Return whether a post gives orders to a machine, or dresses up as its prompt."""
    return bool(_SPEAKS_TO_A_MODEL.search(text))


_ASKS_ABOUT_ORDERS: Final = re.compile(
    r"\b(?:instructions?|prompt|spam|scam|bot|hack\w*|injection|suspicious|phishing)\b"
    r"|지시|프롬프트|스팸|사기|피싱|해킹|봇|이상한 글|수상한",
    re.IGNORECASE,
)


def asks_about(question: str, author: str | None) -> bool:
    """Return whether a question is about such a post: it names its author, or orders and scams."""
    named = bool(author) and (author or "").lower() in question.lower()
    return named or bool(_ASKS_ABOUT_ORDERS.search(question))
