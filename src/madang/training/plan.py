"""Everything that decides what a run becomes, in one record that can be read, changed and replayed.

Two runs of the same plan over the same corpus on the same machine give the same bits. What only a
clock knows (when the decay begins, which step is the last) is entered into the plan while the run
makes those decisions, so that a replay makes them again without a clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from madang.training.schedule import Decay

if TYPE_CHECKING:
    from madang.model.transformer import ModelConfig

Objective = Literal["pretrain", "sft", "dpo"]
Method = Literal["full", "lora"]
MatrixOptimizer = Literal["muon", "adamw"]
Precision = Literal["float32", "float64", "bfloat16"]

_CHOICES: Final = {
    "objective": get_args(Objective),
    "method": get_args(Method),
    "matrix_optimizer": get_args(MatrixOptimizer),
    "precision": get_args(Precision),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run, in numbers. `reasons` says of every derived one where it comes from."""

    # What is trained.
    objective: Objective = "pretrain"
    method: Method = "full"
    base: str | None = None
    """A model's file or folder that training starts from; None: from scratch."""
    seed: int = 0

    # The model's shape (of the base, where there is one).
    vocabulary: int
    width: int
    layers: int
    heads: int
    key_value_heads: int
    head_width: int = 64
    hidden: int
    qk_norm: bool = True
    tied: bool = True
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-6
    context: int = 2048
    lora_rank: int = 8
    lora_alpha: float = 16.0

    # How long.
    minutes: float | None = None
    """The time dial: the run ends when this long has passed, all included."""
    steps: int | None = None
    """Exactly so many steps, whatever the time; this or `minutes`."""
    reserve_seconds: float = 0.0
    """Part of `minutes` that is left for what follows the run."""

    # A step: `rows` x `length` tokens, `micro_rows` of them at a time.
    rows: int
    length: int
    micro_rows: int

    # Optimizer.
    matrix_optimizer: MatrixOptimizer = "muon"
    matrix_rate: float
    """Learning rate of the matrices inside the blocks (with LoRA: of its two factors)."""
    embedding_rate: float
    vector_rate: float
    """Learning rate of the norms' gains."""
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-10
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest norm of the whole gradient; 0 leaves it as it is."""
    warm_up: int = 0
    decay_share: float = 0.4

    # What happens beside the steps; 0 leaves it to the clock. None of it changes a weight.
    evaluate_every: int = 0
    checkpoint_every: int = 0
    keep_every: int = 0
    """Checkpoints at multiples of this are kept for ever; 0 keeps the last two only."""
    sample_every: int = 0

    # What bits depend on.
    device: str = "cpu"
    precision: Precision = "float32"
    compile: bool = False
    threads: int = 1
    mkl_cbwr: str = "AVX2"
    peak_flops: float = 0.0
    """Measured float32 matrix products of this machine, FLOP/s; for the progress line."""

    # Where the data come from.
    corpus: str | None = None
    corpus_share: float = 1.0
    """The part of the documents that is cut into tokens: those that the first pass begins with."""
    tokenizer: str | None = None
    replay: str | None = None
    replay_share: float = 0.0

    # What the clock, or a person, has decided.
    decays: tuple[Decay, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"plan: {name} is {getattr(self, name)!r}, not one of {allowed}")
        if self.steps is None and self.minutes is None and not self.decays:
            raise ValueError("plan: give the minutes or the steps that the run may take")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"plan: {name} is {value}; it must be above 0")
        if not 0 < self.decay_share < 1:
            raise ValueError(f"plan: decay_share is {self.decay_share}, not between 0 and 1")
        if not 0 < self.corpus_share <= 1:
            raise ValueError(f"plan: corpus_share is {self.corpus_share}, not above 0 and up to 1")
        if self.rows % self.micro_rows:
            raise ValueError(
                f"plan: {self.rows} rows cannot be taken {self.micro_rows} at a time; "
                "set micro_rows to a divisor of rows"
            )
        if self.length > self.context:
            raise ValueError(
                f"plan: rows of {self.length} tokens do not fit a context of {self.context}"
            )

    @property
    def decay_start(self) -> int | None:
        """The first step of the decay, where that is decided."""
        return self.decays[0].start if self.decays else None

    @property
    def last_step(self) -> int | None:
        """How many steps the run takes, where that is decided."""
        return self.decays[-1].last if self.decays else None

    @property
    def tokens_a_step(self) -> int:
        """Positions that one step computes."""
        return self.rows * self.length

    @property
    def micro_batches(self) -> int:
        """In how many equal parts a step's batch is computed."""
        return self.rows // self.micro_rows

    def model_config(self) -> ModelConfig:
        """Return the model's shape as `model/` wants it."""
        from madang.model.transformer import ModelConfig

        return ModelConfig(**{name: getattr(self, name) for name in SHAPE})

    def decided(self, decay: Decay) -> Plan:
        """Return the plan with one more decision of the clock."""
        return replace(self, decays=(*self.decays, decay))

    def to_json(self) -> str:
        """Return the plan as JSON; `Plan.from_json` gives the same plan again, exactly."""
        value = asdict(self)
        value["decay_start"], value["last_step"] = self.decay_start, self.last_step
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "plan") -> Plan:
        """Read what `to_json` wrote; raises ValueError that names what is wrong."""
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{where}: this is not JSON ({error})") from error
        if not isinstance(value, dict):
            raise ValueError(f"{where}: this is not a plan, which is a JSON object")
        value.pop("decay_start", None)
        value.pop("last_step", None)
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(value) - known):
            raise ValueError(f"{where}: a plan has no {', '.join(unknown)}")
        try:
            decays = tuple(Decay(**one) for one in value.pop("decays", ()))
            return cls(**value, decays=decays)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error


SHAPE: Final = (
    "vocabulary",
    "width",
    "layers",
    "heads",
    "key_value_heads",
    "head_width",
    "hidden",
    "qk_norm",
    "tied",
    "rope_base",
    "norm_epsilon",
    "context",
)
"""The fields that are the model's shape, named as in `ModelConfig`."""

_POSITIVE: Final = (
    "vocabulary",
    "width",
    "layers",
    "heads",
    "key_value_heads",
    "head_width",
    "hidden",
    "context",
    "rows",
    "length",
    "micro_rows",
    "threads",
    "minutes",
    "steps",
    "matrix_rate",
    "embedding_rate",
    "vector_rate",
)


def read_plan(path: Path) -> Plan:
    """Read a plan from a file, or from a run's folder; raises ValueError with the file's name."""
    path = path / "plan.json" if path.is_dir() else path
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: the plan cannot be read ({error})") from error
    return Plan.from_json(text, str(path))
