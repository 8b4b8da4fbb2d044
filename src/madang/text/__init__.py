"""What can be known of a text by itself: language, sentences, search tokens."""

from madang.text.folding import fold
from madang.text.languages import detect_language, question_language
from madang.text.sentences import sentences
from madang.text.tokens import (
    TERMS_VERSION,
    Token,
    find_terms,
    joined_terms,
    normal_number,
    query_terms,
    terms,
    tokens,
)

__all__ = [
    "TERMS_VERSION",
    "Token",
    "detect_language",
    "find_terms",
    "fold",
    "joined_terms",
    "normal_number",
    "query_terms",
    "question_language",
    "sentences",
    "terms",
    "tokens",
]
