"""The model that a run has left, as publishing needs it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from madang.model.transformer import Transformer
from madang.text.tokenizer import Tokenizer
from madang.training.building import build_model
from madang.training.distributed import World
from madang.training.files import sha256
from madang.training.ledger import LedgerError, verify
from madang.training.plan import Plan, read_plan
from madang.training.run import load_run_model, plan_for_loading

_WEIGHTS: Final = "weights.safetensors"
_LEDGER: Final = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class RunModel:
    """A run's model in float32 on the CPU, adapters in place and not merged; its tokenizer.

    `weights` is the SHA-256 of what the run has written, `ledger` its file, where there is one.
    `load_base` gives the model as it was before the run, anew each time.
    """

    name: str
    model: Transformer
    tokenizer: Tokenizer
    base: str | None
    method: str
    weights: str
    ledger: Path | None
    load_base: Callable[[], Transformer]

    @property
    def parameters(self) -> int:
        """All weights of the model, without adapters."""
        return self.model.config.parameters()


def load_run(folder: Path, base: Transformer | None = None) -> RunModel:
    """Load what a finished run has left.

    `base` takes the place of the base that the plan names. Raises ValueError where the run has
    written no weights yet, or its weights, tokenizer or ledger are not what it wrote.
    """
    plan = read_plan(folder)
    path = folder / _WEIGHTS
    if not path.is_file():
        raise ValueError(f"{folder}: this run has left no weights yet; let it end, or resume it")
    weights = sha256(path)
    ledger = folder / _LEDGER if (folder / _LEDGER).exists() else None
    if ledger is not None:
        _check_ledger(ledger, path, weights)
    model = load_run_model(folder, model=_copy(base)).float().eval()
    tokenizer = Tokenizer.load(folder)
    if plan.tokenizer is not None and plan.tokenizer != tokenizer.digest:
        raise ValueError(f"{folder}/tokenizer.json is not the tokenizer that the run's plan names")
    if tokenizer.vocabulary_size > model.config.vocabulary:
        raise ValueError(
            f"{folder}/tokenizer.json has {tokenizer.vocabulary_size:,} ids and the model "
            f"{model.config.vocabulary:,}; it is not the run's"
        )
    return RunModel(
        name=folder.resolve().name,
        model=model,
        tokenizer=tokenizer,
        base=None if plan.base is None else Path(plan.base).name,
        method=plan.method,
        weights=weights,
        ledger=ledger,
        load_base=lambda: _base(plan, base),
    )


def _check_ledger(ledger: Path, path: Path, weights: str) -> None:
    try:
        lines = verify(ledger)
    except LedgerError as error:
        raise ValueError(f"{error}; the run cannot be published") from error
    written = [line["weights"] for line in lines if line["kind"] == "end" and "weights" in line]
    if written and written[-1] != weights:
        raise ValueError(f"{path} was changed after the run had written it; train again")


def _base(plan: Plan, base: Transformer | None) -> Transformer:
    return build_model(replace(plan_for_loading(plan), method="full"), World(), _copy(base))


def _copy(model: Transformer | None) -> Transformer | None:
    """Return a model of its own: adapters are put on the one that is given."""
    return None if model is None else copy.deepcopy(model)
