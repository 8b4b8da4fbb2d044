from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from madang.engines.control_tokens import (
    COMMON_CONTROL_TOKENS,
    control_token_breaker,
    tokens_of_template,
)

TOKENS = ("<|im_start|>", "<|im_end|>", "<repo_name>", "<<x", "aa", "<eos>")
ALL = (*TOKENS, *COMMON_CONTROL_TOKENS)
BITS = st.sampled_from([*ALL, "<", "|", ">", "a", " ", "안녕", "\n", "im_start", "[", "INST]"])


@given(st.lists(BITS | st.text(max_size=4)).map("".join))
def test_no_token_is_left_and_nothing_but_spaces_is_added(text: str) -> None:
    broken = control_token_breaker(TOKENS)(text)
    assert not [token for token in ALL if token in broken]
    assert broken.replace(" ", "") == text.replace(" ", "")


@given(st.text(st.characters(exclude_characters="<[a")))
def test_text_without_tokens_stays_as_it_is(text: str) -> None:
    assert control_token_breaker(TOKENS)(text) == text


def test_ordinary_marks_stay_as_they_are() -> None:
    text = "a < b, [1] and [2], <3, if (x<y) {} 계엄 <공지>"
    assert control_token_breaker(["<|im_end|>"])(text) == text


def test_tokens_that_overlap_are_all_broken() -> None:
    assert control_token_breaker(["aa"])("aaaa") == "a a a a"


def test_blank_tokens_and_single_characters_are_left_out() -> None:
    assert control_token_breaker(["", " ", "\n\n", "x"])("x \n\n y") == "x \n\n y"


def test_tokens_are_found_in_a_template() -> None:
    template = (
        "{% for m in messages %}{{ '<start_of_turn>' + m['role'] }}<|eot|>[AVAILABLE_TOOLS]"
        "{% if a < b and c > d %}{% endif %}{% endfor %}"
    )
    assert tokens_of_template(template) == {"<start_of_turn>", "<|eot|>", "[AVAILABLE_TOOLS]"}
