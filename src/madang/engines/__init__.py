"""What generates text: the contract of every engine, and the two that exist."""

from madang.engines.embedded import EmbeddedEngine
from madang.engines.engine import Engine, EngineError, Feature, Message, Piece, Sampling
from madang.engines.openai_compatible import OpenAICompatibleEngine
from madang.engines.opening import open_engine

__all__ = [
    "EmbeddedEngine",
    "Engine",
    "EngineError",
    "Feature",
    "Message",
    "OpenAICompatibleEngine",
    "Piece",
    "Sampling",
    "open_engine",
]
