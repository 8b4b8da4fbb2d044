"""Where exports are compared: at many places of texts in both languages, none a first token's."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
from madang.release.prompts import CONVERSATIONS, comparison_prompts
from madang.text.tokenizer import train_tokenizer


@pytest.mark.parametrize("context", [2048, 64, 2, 1])
def test_places_are_in_the_text_and_follow_more_than_one_token(context: int) -> None:
    tokenizer = train_tokenizer([each["content"] for each in CONVERSATIONS[0]], 300)
    prompts = comparison_prompts(tokenizer, vocabulary=300, context=context)
    assert len(prompts) > 4
    for prompt in prompts:
        assert len(prompt.ids) <= max(context - 1, 1)
        assert set(prompt.whole) <= set(prompt.best)
        assert min(prompt.best) == min(2, len(prompt.ids))
        assert max(prompt.whole) == len(prompt.ids)
