"""The time dial: from minutes, this machine and these posts to a plan, with its reasons.

Whatever is set by hand is taken as it is, and everything else is derived around it. The constants
were found by running shapes against each other for the same processor time on real posts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from madang.training.machine import NARROW_WIDTH, Machine
from madang.training.muon import multiply_adds
from madang.training.plan import Plan

EPOCHS: Final = 4
"""Passes over the posts after which more of the same hardly helps (Muennighoff et al., 2023,
"Scaling Data-Constrained Language Models", arXiv:2305.16264)."""
MOST_PASSES: Final = 20
"""Passes over the posts after which a run ends, whatever the time: it would learn them by heart."""
TOKENS_A_PARAMETER: Final = 6.0
"""Trained tokens for each weight that a token is multiplied with, where time and posts allow it;
fewer than with AdamW (about 20: Hoffmann et al., 2022, arXiv:2203.15556), as Muon needs fewer."""
BYTES_A_VOCABULARY_ENTRY: Final = 400
"""Bytes of posts for each entry of the vocabulary, at least: fewer, and many are hardly seen."""
_WIDEST_SHARE: Final = 0.9
"""The share of the peak that steps of ever wider models come near to."""
_DECAY_SHARE: Final = 0.6
_OVERHEAD_SECONDS: Final = 4.0
_COMPILING_SECONDS: Final = 25.0
_COMPILED_GAIN: Final = 1.1
_STEPS_WORTH_COMPILING: Final = 1000
_WORTH_COMPILING: Final = 240.0
_BESIDE_SHARE: Final = 0.07
_MICRO_TOKENS: Final = 4096
# Where posts have more tokens than these and so many times what a run expects to read, the rest is
# left alone.
_FEWEST_TOKENS: Final = 1e6
_MARGIN: Final = 2
_MUON_SHARE: Final = 0.2
_BYTES_A_TOKEN: Final = {1024: 2.3, 2048: 2.7, 4096: 3.1, 8192: 3.5, 16384: 3.8}
"""UTF-8 bytes of a post that a token of a vocabulary of that size stands for, English and Korean
alike within a tenth."""
# Layers and heads of 64, from the smallest model that is worth training to what a day allows.
_LADDER: Final = (
    (2, 1),
    (2, 2),
    (3, 2),
    (4, 2),
    (4, 3),
    (5, 4),
    (6, 4),
    (6, 5),
    (7, 6),
    (8, 7),
    (10, 8),
    (12, 10),
    (14, 12),
    (18, 14),
    (20, 16),
    (24, 20),
)


class Facts(Protocol):
    """What there is to learn from."""

    @property
    def train_bytes(self) -> int:
        """UTF-8 bytes of the posts that are trained on."""

    @property
    def languages(self) -> Mapping[str, int]:
        """Bytes of each language."""


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """What there is to learn from: UTF-8 bytes of posts, in all and by language."""

    train_bytes: int
    languages: Mapping[str, int]


def derive_plan(
    machine: Machine,
    facts: Facts,
    minutes: float | None,
    given: Mapping[str, Any],
    *,
    steps: int | None = None,
    ranks: int = 1,
) -> Plan:
    """Return the plan for `minutes` (or exactly `steps`) on `ranks` such machines.

    `given` are fields of the plan that are set by hand; with a base, its whole shape is among
    them. Raises ValueError where they contradict each other, name no field, or there is nothing
    to learn from.
    """
    if facts.train_bytes <= 0:
        raise ValueError("there are no posts to train on; import some first")
    if unknown := sorted(set(given) - set(Plan.__dataclass_fields__)):
        raise ValueError(f"a plan has no {', '.join(unknown)}")
    derivation = _Derivation(machine, facts, minutes, steps, ranks, dict(given))
    return derivation.plan()


@dataclass(slots=True)
class _Derivation:
    """The fields found so far, and why they are what they are."""

    machine: Machine
    facts: Facts
    minutes: float | None
    steps: int | None
    ranks: int
    given: dict[str, Any]
    fields: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Return the whole plan."""
        for name in self.given:
            self.reasons[name] = "set by hand" if self.given.get("base") is None else "given"
        self._where()
        if self.given.get("base") is None:
            self._shape_from_scratch()
        self._step()
        self._end_of_the_posts()
        self._beginning()
        self._rates()
        self._course()
        return Plan(**self.fields | self.given, reasons=self.reasons)

    def _put(self, name: str, value: Any, reason: str) -> Any:
        """Enter a field unless it is set by hand; return what it is."""
        if name in self.given:
            return self.given[name]
        self.fields[name] = value
        self.reasons[name] = reason
        return value

    def _get(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        return self.fields.get(name, Plan.__dataclass_fields__[name].default)

    # -- the machine -------------------------------------------------------------------------

    def _where(self) -> None:
        machine = self.machine
        self._put("device", machine.device, f"this machine: {machine.name}")
        self._put("threads", machine.threads, "every core this process may use")
        peak = machine.peak_flops
        self._put("peak_flops", peak, f"measured here: {peak / 1e9:.0f} GFLOP/s in matrix products")
        # How long exact steps take nobody knows yet: a thousand are worth a minute of compiling.
        steps = self.steps if self.steps is not None else _STEPS_WORTH_COMPILING
        long = self.seconds >= _WORTH_COMPILING if self.seconds is not None else True
        enough = long and steps >= _STEPS_WORTH_COMPILING
        # What a base that is not narrow spends its time on is not quicker when compiled.
        gains = machine.device != "cpu" or self.given.get("base") is None
        compiling = machine.compiler and enough and gains
        self._put(
            "compile",
            compiling,
            "a C++ compiler is there and the run is long enough to pay for it"
            if compiling
            else "no C++ compiler is there"
            if not machine.compiler
            else "this model's kernels on a CPU are as quick without"
            if not gains
            else "compiling would take too much of so short a run",
        )
        if self.minutes is not None:
            self.fields["minutes"] = self.minutes
            self.reasons["minutes"] = "asked for"
        if self.steps is not None:
            self.fields["steps"] = self.steps
            self.reasons["steps"] = "asked for"

    @property
    def seconds(self) -> float | None:
        """The time asked for, where there is one; exact steps have none."""
        return None if self.minutes is None or self.steps is not None else self.minutes * 60

    def _efficiency(self, width: int) -> float:
        """Return the share of the peak that a step reaches.

        The arithmetic of a step grows with the square of the width and what it moves through memory
        with the width itself, so that the time lost to memory is a share that falls with it.
        """
        widest = 1 / _WIDEST_SHARE
        lost = max(0.0, self.machine.peak_flops / self.machine.narrow_flops - widest)
        plain = 1 / (widest + lost * NARROW_WIDTH / width)
        return plain * (_COMPILED_GAIN if self._get("compile") else 1.0)

    def _operations(self, width: int) -> float:
        """Return the floating-point operations that the time allows; without one, 5 minutes'."""
        seconds = self.seconds if self.seconds is not None else 300.0
        beside = float(self._get("reserve_seconds"))
        beside += _COMPILING_SECONDS if self._get("compile") else _OVERHEAD_SECONDS
        left = max(0.2 * seconds, (seconds - beside) * (1 - _BESIDE_SHARE))
        return self.machine.peak_flops * self.ranks * self._efficiency(width) * left

    # -- the model, from scratch -------------------------------------------------------------

    def _shape_from_scratch(self) -> None:
        layers, heads = min(_LADDER, key=lambda one: self._unfitness(*one))
        width = self._put("width", 64 * heads, self._why_this_size(layers, heads))
        heads = self._put("heads", max(1, width // 64), "heads of 64, which every engine runs")
        self._put("key_value_heads", heads, "as many as heads: short posts need no smaller cache")
        self._put("head_width", 64, "heads of 64, which every engine runs")
        self._put("layers", layers, f"a width of {width} goes with about {layers} layers")
        self._put("hidden", _hidden(width), "8/3 of the width, in multiples of 64 (SwiGLU)")
        vocabulary = self._vocabulary(width)
        self._put("vocabulary", vocabulary, self._why_vocabulary(vocabulary))
        self._put("tied", False, "an output layer of its own costs no arithmetic and learns faster")
        self._put("context", 2048, "longer than nearly every thread")

    def _vocabulary(self, width: int) -> int:
        if "vocabulary" in self.given:
            return int(self.given["vocabulary"])
        wanted = 2048 if width <= 128 else 4096 if width <= 320 else 8192 if width <= 640 else 16384
        while wanted > 512 and wanted * BYTES_A_VOCABULARY_ENTRY > self.facts.train_bytes:
            wanted //= 2
        return wanted

    def _why_vocabulary(self, vocabulary: int) -> str:
        size = self.facts.train_bytes
        if vocabulary * 2 * BYTES_A_VOCABULARY_ENTRY > size:
            return f"{size:,} bytes of posts show each entry often enough"
        return "at this width a larger output layer would take most of the arithmetic"

    def _matmul_parameters(self, layers: int, width: int, vocabulary: int) -> int:
        return layers * width * (4 * width + 3 * _hidden(width)) + vocabulary * width

    def _tokens(self, layers: int, width: int, vocabulary: int) -> float:
        """Return how many tokens the time allows a model of this shape to be trained on."""
        per_token = 6.0 * self._matmul_parameters(layers, width, vocabulary)
        return self._operations(width) / per_token

    def _corpus_tokens(self, vocabulary: int) -> float:
        nearest = min(_BYTES_A_TOKEN, key=lambda size: abs(math.log(size / vocabulary)))
        return self.facts.train_bytes / _BYTES_A_TOKEN[nearest]

    def _unfitness(self, layers: int, heads: int) -> float:
        """Return how far a model of this shape is from TOKENS_A_PARAMETER in the time there is.

        Where the time is enough for more than EPOCHS passes over the posts, a larger model uses
        each pass better, up to EPOCHS weights for each token there is.
        """
        width = 64 * heads
        vocabulary = self._vocabulary(width)
        parameters = self._matmul_parameters(layers, width, vocabulary)
        tokens, there = self._tokens(layers, width, vocabulary), self._corpus_tokens(vocabulary)
        fitting = tokens / TOKENS_A_PARAMETER
        if tokens > EPOCHS * there:
            fitting = max(there, min(fitting, EPOCHS * there))
        return abs(math.log(parameters / fitting))

    def _why_this_size(self, layers: int, heads: int) -> str:
        width = 64 * heads
        vocabulary = self._vocabulary(width)
        millions = self._matmul_parameters(layers, width, vocabulary) / 1e6
        tokens, there = self._tokens(layers, width, vocabulary), self._corpus_tokens(vocabulary)
        return (
            f"{millions:.1f} M weights see about {tokens / 1e6:.1f} M tokens in the time "
            f"({tokens / max(there, 1):.1f} passes over the posts); a larger model would see too "
            "few for each weight, a smaller one would stop improving"
        )

    # -- a step ------------------------------------------------------------------------------

    def _step(self) -> None:
        parameters = self._shape_parameters()
        scratch = self.given.get("base") is None
        trained = 6.0 if self._get("method") == "full" else 4.0
        tokens = self._operations(self._get("width")) / (trained * parameters)
        length = self._put(
            "length",
            min(int(self._get("context")), 512 if scratch else 256),
            "threads are packed, so that a row is a matter of memory, not of their length",
        )
        tokens = min(tokens, MOST_PASSES * self._corpus_tokens(int(self._get("vocabulary"))))
        # Many small steps teach a young model more than few large ones; but below 2,048 tokens what
        # a step costs whatever its size takes more than that gives, unless steps are few.
        wanted = max(1.1 * tokens**0.5, min(2048, tokens / 250)) if scratch else tokens / 150
        size = min(65536, max(1024 if scratch else 512, 2 ** round(math.log2(max(1.0, wanted)))))
        rows = max(1, size // length)
        rows = -(-rows // self.ranks) * self.ranks
        rows = self._put(
            "rows",
            rows,
            f"{rows * length:,} tokens a step make about {tokens / (rows * length):,.0f} steps",
        )
        each = rows // self.ranks
        fitting = [n for n in range(1, each + 1) if each % n == 0 and n * length <= _MICRO_TOKENS]
        micro = max(fitting, default=1)
        self._put("micro_rows", micro, "what stays in the processor's caches at a time")

    def _end_of_the_posts(self) -> None:
        """Give a run on few posts an end before its time, as more passes would only harm."""
        if self.steps is not None or self.given.get("objective", "pretrain") != "pretrain":
            return
        a_pass = self._corpus_tokens(int(self._get("vocabulary")))
        most = max(30, math.ceil(MOST_PASSES * a_pass / self._tokens_a_step()))
        if self._expected_steps() > 1.3 * most and "steps" not in self.given:
            self.steps = most
            self._put(
                "steps",
                most,
                f"so many are {MOST_PASSES} passes over the posts; the run ends before its time, "
                "because more would only learn them by heart",
            )

    def _beginning(self) -> None:
        """Let a run that is over long before it has read all posts cut only its own into tokens."""
        if self.given.get("objective", "pretrain") != "pretrain":
            return
        tokens = max(_FEWEST_TOKENS, _MARGIN * self._expected_steps() * self._tokens_a_step())
        share = tokens / self._corpus_tokens(int(self._get("vocabulary")))
        if share <= 0.5:
            self._put(
                "corpus_share",
                2.0 ** math.ceil(math.log2(share)),
                "the time is over long before the others would be read, so they are not cut into "
                "tokens",
            )

    def _tokens_a_step(self) -> int:
        return int(self._get("rows")) * int(self._get("length"))

    def _shape_parameters(self) -> int:
        config = {name: self._get(name) for name in ("layers", "width", "hidden", "vocabulary")}
        heads, shared, head = (
            int(self._get(name)) for name in ("heads", "key_value_heads", "head_width")
        )
        block = config["width"] * (2 * (heads + shared) * head + 3 * config["hidden"])
        return int(config["layers"] * block + config["vocabulary"] * config["width"])

    def _muon_share(self) -> float:
        """Return Muon's own arithmetic as a share of a step's."""
        width, hidden = int(self._get("width")), int(self._get("hidden"))
        queries = int(self._get("heads")) * int(self._get("head_width"))
        keys = int(self._get("key_value_heads")) * int(self._get("head_width"))
        block = 2 * multiply_adds(queries, width) + 2 * multiply_adds(keys, width)
        block += 3 * multiply_adds(hidden, width)
        muon = int(self._get("layers")) * block
        step = 6.0 * self._shape_parameters() * self._tokens_a_step()
        return muon / (muon + step)

    # -- rates and course --------------------------------------------------------------------

    def _rates(self) -> None:
        width = int(self._get("width"))
        scratch, method = self.given.get("base") is None, self._get("method")
        if method == "lora":
            self._put("matrix_optimizer", "adamw", "the factors of an adapter are not orthogonal")
            if self._prefers():
                self._put("matrix_rate", 1e-4, "preferences ask for a tenth of what text does")
            else:
                self._put("matrix_rate", 1e-3, "adapters start from nothing, so they learn fast")
            self._put("embedding_rate", 1e-5, "not trained with adapters")
            self._put("vector_rate", 1e-5, "not trained with adapters")
        elif not scratch:
            self._put("matrix_optimizer", "adamw", "what a base was trained with, goes on best")
            rate = 5e-6 if self._prefers() else 5e-5
            for name in ("matrix_rate", "embedding_rate", "vector_rate"):
                self._put(name, rate, "small enough that a base keeps what it knows")
        else:
            share = self._muon_share()
            self._put(
                "matrix_optimizer",
                "muon",
                f"it needs fewer steps than AdamW and takes {share:.0%} of a step's arithmetic",
            )
            muon = self._get("matrix_optimizer") == "muon"
            self._put(
                "matrix_rate",
                0.02 if muon else 3e-3 * (256 / width) ** 0.5,
                "an orthogonal update serves every width alike" if muon else "falls with the width",
            )
            if muon:
                self._put("momentum", 0.8, "steps of few tokens learn faster with a short memory")
            rate = round(0.01 * (128 / width) ** 0.5, 6)
            self._put("embedding_rate", 3 * rate, "falls with the square root of the width")
            self._put("vector_rate", rate, "a third of the embedding's")
        if method == "full" and scratch:
            self._put("weight_decay", 0.0, "a run this short forgets nothing by itself")

    def _prefers(self) -> bool:
        return bool(self._get("objective") == "dpo")

    def _course(self) -> None:
        expected = self._expected_steps()
        self._put("warm_up", max(1, min(100, expected // 50)), f"2 % of about {expected:,} steps")
        share = _DECAY_SHARE if self.given.get("base") is None else 0.8
        self._put("decay_share", share, "a long decay serves short runs")

    def _expected_steps(self) -> int:
        if self.steps is not None:
            return self.steps
        trained = 6.0 if self._get("method") == "full" else 4.0
        each = trained * self._shape_parameters() * self._tokens_a_step()
        return max(1, int(self._operations(int(self._get("width"))) / each))


def _hidden(width: int) -> int:
    return -(-8 * width // 3 // 64) * 64


def explain(plan: Plan) -> list[tuple[str, str, str]]:
    """Return (field, value, reason) of every number that was derived, for people."""
    return [(name, _shown(getattr(plan, name)), why) for name, why in plan.reasons.items()]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
