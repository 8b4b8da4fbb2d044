"""Opening the engine that `--model` names."""

from __future__ import annotations

from pathlib import Path

from madang.engines.embedded import EmbeddedEngine
from madang.engines.engine import Engine, EngineError
from madang.engines.openai_compatible import OpenAICompatibleEngine
from madang.engines.smollm2 import smollm2_path


def open_engine(
    model: str | None = None,
    *,
    cache: Path | None = None,
    api_key: str | None = None,
    name: str | None = None,
) -> Engine:
    """Open an engine that is ready to answer.

    `model` is the path of a GGUF file, the URL of an OpenAI-compatible server (`api_key` is for
    that one), or none for the model that comes with Madang. `name` is what people call a file
    whose own name says nothing; `cache` is a folder for what can be found out again. Raises
    EngineError where that engine cannot answer; answers are then quoted from posts.
    """
    if model is None:
        return EmbeddedEngine(smollm2_path(cache))
    if model.lower().startswith(("http://", "https://")):
        try:
            server = OpenAICompatibleEngine(model, api_key=api_key)
        except ValueError as error:
            raise EngineError(str(error)) from None
        try:
            server.check()
        except EngineError:
            server.close()
            raise
        return server
    path = Path(model).expanduser()
    if not path.is_file():
        raise EngineError(
            f"there is no model file {path}; give the path of a .gguf file, or the URL of a "
            "server as in http://127.0.0.1:8000/v1, or the name of a release"
        )
    return EmbeddedEngine(path, name=name)
