"""Figures of a model: by language and depth, before and after, over seeds; general texts."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")
import numpy as np  # noqa: E402
from drawn_models import drawn  # noqa: E402

from madang.evaluation import (  # noqa: E402
    Document,
    DocumentScore,
    ModelEvaluation,
    TextEvaluation,
    compare,
    evaluate_model,
    general_documents,
    spread_over_seeds,
)
from madang.evaluation.intervals import bootstrap, spread, student_quantile  # noqa: E402
from madang.model.transformer import Transformer  # noqa: E402
from madang.text.tokenizer import Tokenizer  # noqa: E402

FUTURE = tuple(
    Document(f"post:{n}", texts, language, len(texts))
    for n, (language, texts) in enumerate(
        [("en", ("one post",)), ("ko", ("마당에서", "만나요")), ("en", ("a", "b", "c", "d"))] * 4
    )
)


def scored(nats: dict[str, float], *, text: str = "four") -> ModelEvaluation:
    scores = tuple(DocumentScore(Document(k, (text,), "en"), n, 1) for k, n in nats.items())
    return ModelEvaluation(TextEvaluation(scores), TextEvaluation(()))


def test_figures_are_sums_over_sums(model: Transformer, tokenizer: Tokenizer) -> None:
    found = evaluate_model(model, tokenizer, FUTURE, general_documents())
    figure = found.future.all
    assert figure is not None
    nats = sum(each.nats for each in found.future.scores)
    size = sum(document.bytes for document in FUTURE)
    assert figure.bits_per_byte == pytest.approx(nats / math.log(2) / size)
    assert (figure.documents, figure.bytes) == (len(FUTURE), size)
    assert figure.interval.low <= figure.bits_per_byte <= figure.interval.high
    assert set(found.future.by_language) == {"en", "ko"}
    assert {key: each.documents for key, each in found.future.by_depth.items()} == {
        "1": 4,
        "2": 4,
        "3-5": 4,
    }
    parts = found.future.by_language.values()
    assert sum(each.bytes for each in parts) == size
    assert sum(each.bits_per_byte * each.bytes for each in parts) == pytest.approx(
        figure.bits_per_byte * size
    )
    assert set(found.general.by_language) == {"en", "ko"}


def test_it_is_plain_json(model: Transformer, tokenizer: Tokenizer) -> None:
    found = evaluate_model(model, tokenizer, FUTURE[:1], [])
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["future"]["documents"] == 1
    assert value["future"]["interval"] is None
    assert value["general"] == {"bits_per_byte": None, "by_language": {}, "by_depth": {}}


def test_it_is_the_same_every_time(model: Transformer, tokenizer: Tokenizer) -> None:
    one = evaluate_model(model, tokenizer, FUTURE, general_documents(), max_tokens=400)
    other = evaluate_model(model, tokenizer, FUTURE[::-1], general_documents(), max_tokens=400)
    assert one == other


def test_before_and_after_are_paired() -> None:
    before = scored({"a": 4.0, "b": 8.0, "only before": 99.0})
    after = scored({"b": 6.0, "a": 3.0, "only after": 1.0})
    found = compare(before, after)
    assert found.future is not None
    assert found.future.documents == 2
    assert found.future.relative == pytest.approx(-0.25)
    # Every document changed by the same share, so no other draw of documents says otherwise.
    assert found.future.interval.low == pytest.approx(-0.25)
    assert found.future.interval.high == pytest.approx(-0.25)
    assert found.future.before == pytest.approx(12 / math.log(2) / 8)
    assert found.general is None
    assert set(found.future_by_language) == {"en"}
    json.dumps(found.to_json(), allow_nan=False)


def test_another_text_under_the_same_key_is_refused() -> None:
    with pytest.raises(ValueError, match="the document a is not the same text"):
        compare(scored({"a": 1.0}), scored({"a": 1.0}, text="five!"))


def test_a_change_that_chance_explains_has_zero_inside() -> None:
    generator = np.random.default_rng(0)
    before = {f"d{n}": float(x) for n, x in enumerate(generator.uniform(5, 15, 300))}
    noise = generator.normal(0, 2, 300)
    after = {key: value + n for (key, value), n in zip(before.items(), noise, strict=True)}
    change = compare(scored(before), scored(after)).future
    assert change is not None
    assert change.interval.low < 0 < change.interval.high
    better = compare(scored(before), scored({k: v - 1 for k, v in after.items()})).future
    assert better is not None and better.interval.high < 0


def test_seeds_have_a_spread(tokenizer: Tokenizer) -> None:
    found = [
        evaluate_model(drawn(tokenizer.vocabulary_size, seed), tokenizer, FUTURE, [])
        for seed in range(3)
    ]
    spreads = spread_over_seeds(found)
    values = [each.future.all.bits_per_byte for each in found if each.future.all]
    assert spreads["future"].mean == pytest.approx(np.mean(values))
    assert spreads["future"].deviation == pytest.approx(np.std(values, ddof=1))
    assert {"future/ko", "future/en", "future/depth 1"} <= set(spreads)
    with pytest.raises(ValueError, match="at least one"):
        spread_over_seeds([])


def test_only_what_every_run_has_is_spread() -> None:
    one = scored({"a": 1.0})
    other = replace(one, general=one.future)
    assert set(spread_over_seeds([one, other])) == {"future", "future/en", "future/depth 1"}


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.7062), (2, 4.30265), (4, 2.77645), (30, 2.04227), (1000, 1.96234)],
)
def test_students_quantiles_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert student_quantile(freedom) == pytest.approx(expected, rel=1e-5)


def test_the_interval_of_the_mean() -> None:
    found = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.77645 * math.sqrt(2.5) / math.sqrt(5)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (3 - half, 3 + half), rel=1e-4
    )
    assert math.isnan(spread([1.0]).deviation)


def test_the_bootstrap_covers_what_it_says() -> None:
    """In about 95 of 100 samples the true mean is inside."""
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        sample = generator.exponential(1.0, 80)
        interval = bootstrap(80, lambda drawn, s=sample: float(s[drawn].mean()), resamples=300)
        inside += interval.low <= 1.0 <= interval.high
    assert 174 <= inside <= 198


def test_general_texts_come_with_the_package() -> None:
    documents = general_documents()
    assert len({document.key for document in documents}) == len(documents)
    for language in ("en", "ko"):
        text = files("madang.evaluation").joinpath(f"general_{language}.txt").read_text("utf-8")
        assert 6_000 < len(text.encode()) < 10_240
        own = [document for document in documents if document.language == language]
        assert len(own) >= 8
        assert all(
            400 < document.bytes < 2_000 and "%" not in document.texts[0] for document in own
        )
    assert general_documents(["ko"])[0].language == "ko"
    with pytest.raises(ValueError, match="no general text in 'fr'"):
        general_documents(["fr"])
