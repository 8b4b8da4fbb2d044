"""What can be known of a text by itself: language, sentences, search tokens."""

from madang.text.folding import fold
from madang.text.languages import detect_language, question_language
from madang.text.sentences import sentences
from madang.text.tokens import Token, joined_terms, normal_number, query_terms, terms, tokens

__all__ = [
    "Token",
    "detect_language",
    "fold",
    "joined_terms",
    "normal_number",
    "query_terms",
    "question_language",
    "sentences",
    "terms",
    "tokens",
]
