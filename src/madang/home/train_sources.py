"""What a run learns from, written down so that it can be found again.

Without it no run could be resumed, and nobody could ask which posts a step saw.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from madang.corpus.batches import Batches
    from madang.model.transformer import Transformer
    from madang.text.tokenizer import Tokenizer
    from madang.training.batch import BatchSource
    from madang.training.objective import Loss
    from madang.training.plan import Plan

FILE: Final = "source.json"
END_OF_MESSAGE: Final = "<|im_end|>"
_PADDING: Final = "<|pad|>"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a run's examples are: folders of tokens, or a file of conversations or preferences."""

    corpus: str | None = None
    replay: str | None = None
    data: str | None = None

    @property
    def curated(self) -> Path | None:
        """The curated folder that the tokens lie in."""
        return Path(self.corpus).parent if self.corpus is not None else None

    def write(self, run: Path) -> None:
        """Write it down in the run's folder."""
        run.mkdir(parents=True, exist_ok=True)
        (run / FILE).write_text(json.dumps(asdict(self), ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def read(cls, run: Path) -> Source:
        """Read what `write` wrote. Raises ValueError where the run says nothing of it."""
        try:
            return cls(**json.loads((run / FILE).read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{run / FILE}: nothing says what it learned from ({error})") from None


@dataclass(frozen=True, slots=True)
class Examples:
    """The batches of a run and what is made small on them; `notes` are sentences for a person."""

    source: BatchSource
    loss: Loss
    notes: tuple[str, ...] = ()


def batches_of(plan: Plan, source: Source) -> Batches:
    """Return a run's batches by step. Raises ValueError where its corpus is gone."""
    from madang.corpus.batches import Batches
    from madang.corpus.corpus import Corpus

    if source.corpus is None:
        raise ValueError("this run learned from a file of examples, not from posts")
    if not Path(source.corpus).is_dir():
        raise ValueError(
            "the corpus of this run is gone: a post in it was erased or refused since; train anew"
        )
    return Batches(
        Corpus.open(source.corpus),
        seed=plan.seed,
        sequence_length=plan.length,
        rows=plan.rows,
        replay=Corpus.open(source.replay) if source.replay else None,
        replay_share=plan.replay_share if source.replay else 0.0,
    )


def examples_of(
    plan: Plan, source: Source, tokenizer: Tokenizer, model: Transformer | None
) -> Examples:
    """Return what a plan trains on. `model` is the base, which preferences are measured against.

    Raises ValueError where the corpus is gone, and DataFileError where examples are not right.
    """
    from madang.training.batch import PackedSource
    from madang.training.objective import next_token_loss

    if plan.objective == "pretrain":
        return Examples(PackedSource(batches_of(plan, source)), next_token_loss)
    assert source.data is not None
    make = _supervised if plan.objective == "sft" else _preferences
    return make(plan, Path(source.data), tokenizer, model)


def _supervised(
    plan: Plan, path: Path, tokenizer: Tokenizer, model: Transformer | None
) -> Examples:
    from madang.training.data_files import read_conversations
    from madang.training.objective import next_token_loss
    from madang.training.supervised import SupervisedSource, encode_conversations

    encoded = encode_conversations(
        read_conversations(path),
        encoder(tokenizer),
        end=tokenizer.special[END_OF_MESSAGE],
        length=plan.length,
        path=path,
    )
    source = SupervisedSource(
        encoded.samples,
        seed=plan.seed,
        rows=plan.rows,
        length=plan.length,
        fill=_fill(plan, tokenizer),
    )
    notes = _left_out(len(encoded.too_long), "conversations", plan)
    return Examples(source, next_token_loss, notes)


def _preferences(
    plan: Plan, path: Path, tokenizer: Tokenizer, model: Transformer | None
) -> Examples:
    from madang.training.data_files import read_preferences
    from madang.training.preference import (
        PreferenceSource,
        encode_preferences,
        preference_loss,
        reference_log_probabilities,
    )

    assert model is not None, "preferences are measured against a base"
    encoded = encode_preferences(
        read_preferences(path),
        encoder(tokenizer),
        end=tokenizer.special[END_OF_MESSAGE],
        length=plan.length,
        path=path,
    )
    reference = reference_log_probabilities(model, encoded.pairs, length=plan.length)
    source = PreferenceSource(
        encoded.pairs,
        reference,
        seed=plan.seed,
        rows=plan.rows,
        length=plan.length,
        fill=_fill(plan, tokenizer),
    )
    notes = _left_out(len(encoded.too_long), "pairs", plan)
    return Examples(source, preference_loss, notes)


def encoder(tokenizer: Tokenizer) -> Any:
    """Return what encodes a conversation with the one chat template.

    Raises ValueError where the tokenizer has no tokens for it.
    """
    from madang.text.chat_template import encode_chat

    if END_OF_MESSAGE not in tokenizer.special:
        raise ValueError(
            f"this model's tokenizer has no {END_OF_MESSAGE}, so it cannot learn conversations; "
            "start from smollm2 or from a release"
        )
    return lambda messages: encode_chat(tokenizer, messages)


def _left_out(count: int, what: str, plan: Plan) -> tuple[str, ...]:
    if not count:
        return ()
    return (f"{count:,} {what} are longer than {plan.length:,} tokens and were left out",)


def _fill(plan: Plan, tokenizer: Tokenizer) -> int | None:
    """Compiled code wants every batch of one shape; without it, nothing is padded."""
    if not plan.compile:
        return None
    return tokenizer.special.get(_PADDING, tokenizer.end_of_text)
