"""Control tokens: the strings that tell a model who speaks, and keeping them out of content.

Servers turn a conversation into one prompt and then read `<|im_start|>` in it as the control
token, also where it came out of a post. Content is therefore sent with such strings broken by a
space, which every tokenizer keeps apart and a reader hardly notices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

# What the chat formats in wide use write around messages, for servers that do not show their
# vocabulary: Llama 2 and 3, Mistral, Gemma, Qwen, DeepSeek, GLM, Command.
COMMON_CONTROL_TOKENS: Final = (
    "<|",
    "<｜",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<unk>",
    "<pad>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[gMASK]",
    "<sop>",
)

_TEMPLATE_TOKEN: Final = re.compile(r"<[^<>\s'\"{}%]{1,60}>|\[/?[A-Z][A-Z_]{2,40}\]")


def control_token_breaker(tokens: Iterable[str]) -> Callable[[str], str]:
    """Return a function that breaks every one of the tokens, and the common ones, in a text.

    A space is put after a token's first character, so that no token is left; texts without
    tokens come back as they are.
    """
    known = {token for token in (*tokens, *COMMON_CONTROL_TOKENS) if len(token.strip()) > 1}
    longest_first = sorted(known, key=lambda token: (-len(token), token))
    # Looking ahead finds tokens that overlap: each one's own first character is followed by a
    # space afterwards.
    first_character = re.compile(f"(?=(?:{'|'.join(map(re.escape, longest_first))}))(.)", re.DOTALL)

    def break_tokens(text: str) -> str:
        # A token with a space in it could come to be by breaking another; no vocabulary that is
        # known has one, and each round makes fewer.
        for _ in range(8):
            broken = first_character.sub(r"\1 ", text)
            if broken == text:
                break
            text = broken
        return text

    return break_tokens


def tokens_of_template(template: str) -> frozenset[str]:
    """Return what looks like a control token in a chat template."""
    return frozenset(_TEMPLATE_TOKEN.findall(template))
