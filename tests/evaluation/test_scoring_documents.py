"""Nats of documents: which tokens count, with which context, and in which sample."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from drawn_models import drawn  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from madang.evaluation.documents import Document, general_documents, in_sampling_order  # noqa: E402
from madang.evaluation.scoring import IGNORED, encode, score  # noqa: E402
from madang.model.segments import Segments  # noqa: E402
from madang.model.transformer import Transformer  # noqa: E402
from madang.text.tokenizer import Tokenizer, encode_post_thread  # noqa: E402

THREAD = Document("thread", ("The ferry is late.", "다시 7시에 온대요", "thanks!"), "en", 2)


def without_post(tokenizer: Tokenizer) -> Tokenizer:
    """Return the same vocabulary where `<|post|>` has another name, as other models have it."""
    return Tokenizer.from_json(tokenizer.to_json().replace("<|post|>", "<|other|>"))


def one_by_one(model: Transformer, tokenizer: Tokenizer, document: Document) -> float:
    """Return a document's nats the slow way: a full softmax for each token."""
    post = tokenizer.post
    between = [post] if post is not None else tokenizer.encode("\n\n")
    ids = [] if post is not None else [tokenizer.end_of_text]
    nats = 0.0
    for number, text in enumerate(document.texts):
        ids += between if number or post is not None else []
        for token in tokenizer.encode(text):
            with torch.inference_mode():
                hidden = model.hidden(torch.tensor(ids), Segments.from_lengths([len(ids)]))
                nats -= torch.log_softmax(model.logits(hidden[-1]).double(), -1)[token].item()
            ids.append(token)
    return nats


def test_it_is_the_sum_over_the_texts_tokens(model: Transformer, tokenizer: Tokenizer) -> None:
    (found,) = score(model, tokenizer, [THREAD])
    assert found.nats == pytest.approx(one_by_one(model, tokenizer, THREAD), rel=1e-5)
    assert found.tokens == sum(len(tokenizer.encode(text)) for text in THREAD.texts)
    size = sum(len(text.encode()) for text in THREAD.texts)
    assert found.bits_per_byte == pytest.approx(found.nats / math.log(2) / size)


def test_a_tokenizer_without_post_has_the_first_token_counted_too(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    other = without_post(tokenizer)
    (found,) = score(model, other, [THREAD])
    assert found.nats == pytest.approx(one_by_one(model, other, THREAD), rel=1e-5)
    assert found.tokens == score(model, tokenizer, [THREAD])[0].tokens


def test_documents_do_not_see_each_other(model: Transformer, tokenizer: Tokenizer) -> None:
    documents = [*general_documents()[:3], THREAD]
    alone = {d.key: score(model, tokenizer, [d])[0].nats for d in documents}
    for batch_tokens in (1, 100, 100_000):
        for each in score(model, tokenizer, documents, batch_tokens=batch_tokens):
            assert each.nats == pytest.approx(alone[each.document.key], rel=1e-5)


def test_a_long_document_is_read_in_windows(tokenizer: Tokenizer) -> None:
    """Each token's cost is that of reading at least half the context before it."""
    model = drawn(tokenizer.vocabulary_size, seed=1, context=16)
    document = Document("long", (general_documents()[0].texts[0][:300],), "en")
    encoded = encode(tokenizer, document)
    assert len(encoded.inputs) > 5 * 16
    expected = 0.0
    for place, target in enumerate(encoded.targets):
        # Windows begin at 0, 8, 16, …; the first that holds the place counts it.
        start = max(0, -(-(place - 15) // 8) * 8)
        ids = torch.from_numpy(encoded.inputs[start : place + 1])
        with torch.inference_mode():
            hidden = model.hidden(ids, Segments.from_lengths([len(ids)]))
            expected -= torch.log_softmax(model.logits(hidden[-1]).double(), -1)[target].item()
    (found,) = score(model, tokenizer, [document])
    assert found.nats == pytest.approx(expected, rel=1e-5)


def test_a_limit_takes_the_same_sample_whatever_the_order(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    documents = [Document(f"d{n}", (f"post number {n} of many",), "en") for n in range(200)]
    few = score(model, tokenizer, documents, max_tokens=300)
    again = score(model, tokenizer, documents[::-1], max_tokens=300)
    more = score(model, tokenizer, documents, max_tokens=600)
    keys = [each.document.key for each in few]
    assert [each.document.key for each in again] == keys
    assert [each.document.key for each in more][: len(keys)] == keys
    assert 200 < sum(each.tokens for each in few) <= 300


def test_a_huge_document_does_not_stand_for_all(model: Transformer, tokenizer: Tokenizer) -> None:
    huge = Document("huge", ("word " * 20_000,), "en")
    small = [Document(f"d{n}", ("a small post",), "en") for n in range(20)]
    found = score(model, tokenizer, [huge, *small], max_tokens=200)
    assert "huge" not in {each.document.key for each in found}
    assert len(found) > 5


def test_at_least_one_document_is_taken(model: Transformer, tokenizer: Tokenizer) -> None:
    (found,) = score(model, tokenizer, [THREAD], max_tokens=1)
    assert found.document == THREAD


def test_nothing_to_read_is_no_score(model: Transformer, tokenizer: Tokenizer) -> None:
    assert score(model, tokenizer, []) == ()
    assert score(model, tokenizer, [Document("empty", ("", ""), "und")]) == ()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_counted_tokens_spell_out_the_texts(tokenizer: Tokenizer, texts: list[str]) -> None:
    document = Document("any", tuple(texts), "und")
    for each in (tokenizer, without_post(tokenizer)):
        encoded = encode(each, document)
        counted = encoded.targets[encoded.targets != IGNORED]
        assert each.bytes_of(counted.tolist()) == "".join(texts).encode()
        # It is what training reads, with a start where there is none and no end.
        ids, _ = encode_post_thread(each, texts)
        start = [] if each.post is not None else [each.end_of_text]
        assert len(encoded.inputs) == len(start + ids) - 2
        assert [*start, *ids][: len(encoded.inputs)] == encoded.inputs.tolist()


def test_the_order_of_a_sample_hangs_on_keys_alone() -> None:
    documents = [Document(f"d{n}", ("x",), "en") for n in range(50)]
    order = [document.key for document in in_sampling_order(documents)]
    assert order == [document.key for document in in_sampling_order(documents[::-1])]
    assert order != sorted(order)
