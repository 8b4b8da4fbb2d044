"""What an OpenAI-compatible server tells of itself: which one it is, its model, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, Literal

from madang.engines.control_tokens import tokens_of_template
from madang.engines.engine import Feature

ServerKind = Literal["llama.cpp", "vllm", "other"]

# What is assumed of a server that does not state its context; most hold more.
UNSTATED_CONTEXT_LENGTH: Final = 4096

# Only what is known to work: a feature that a server ignores would be worse than none.
_FEATURES: Final[Mapping[ServerKind, frozenset[Feature]]] = {
    "llama.cpp": frozenset({"grammar", "json_schema", "logprobs"}),
    "vllm": frozenset({"json_schema", "logprobs"}),
    "other": frozenset(),
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server and the model that answers there; `model` is what requests name it by."""

    kind: ServerKind
    model: str
    context_length: int
    control_tokens: frozenset[str] = frozenset()

    @property
    def features(self) -> frozenset[Feature]:
        """The features that may be asked for."""
        return _FEATURES[self.kind]

    @property
    def display_name(self) -> str:
        """The model's name for people: without folders and the ending of its file."""
        name = PurePath(self.model).name if self.model.endswith(".gguf") else self.model
        return name.removesuffix(".gguf")


def server_facts(
    listed: Mapping[str, Any], properties: Mapping[str, Any], wanted: str | None
) -> ServerFacts | None:
    """Read `/v1/models` and, where the server has it, llama-server's `/props`.

    Returns none where no model is wanted by name and the server lists none.
    """
    entries = listed.get("data")
    models = [m for m in entries if isinstance(m, dict)] if isinstance(entries, list) else []
    chosen = next((m for m in models if m.get("id") == wanted), models[0] if models else {})
    model = wanted or chosen.get("id")
    if not isinstance(model, str) or not model:
        return None

    settings = properties.get("default_generation_settings")
    template = properties.get("chat_template")
    kind: ServerKind = "other"
    context = chosen.get("max_model_len")
    if chosen.get("owned_by") == "llamacpp" or isinstance(settings, dict):
        kind = "llama.cpp"
        if isinstance(settings, dict):
            context = settings.get("n_ctx")
    elif chosen.get("owned_by") == "vllm":
        kind = "vllm"
    return ServerFacts(
        kind=kind,
        model=model,
        context_length=context
        if isinstance(context, int) and context > 0
        else UNSTATED_CONTEXT_LENGTH,
        control_tokens=tokens_of_template(template) if isinstance(template, str) else frozenset(),
    )
