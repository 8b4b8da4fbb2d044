"""What a model is worth: bits per byte on future posts and on general text, with its spread."""

from madang.evaluation.documents import Document, general_documents
from madang.evaluation.intervals import Interval, Spread
from madang.evaluation.model import (
    Change,
    Comparison,
    Figure,
    ModelEvaluation,
    TextEvaluation,
    compare,
    evaluate_model,
    spread_over_seeds,
)
from madang.evaluation.scoring import DocumentScore

__all__ = [
    "Change",
    "Comparison",
    "Document",
    "DocumentScore",
    "Figure",
    "Interval",
    "ModelEvaluation",
    "Spread",
    "TextEvaluation",
    "compare",
    "evaluate_model",
    "general_documents",
    "spread_over_seeds",
]
