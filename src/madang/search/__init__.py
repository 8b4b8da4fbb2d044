"""Indexes that follow the log, and what they find."""

from madang.search.highlight import highlights
from madang.search.hit import Filters, Hit, Order
from madang.search.lexical import LexicalIndex
from madang.search.query import ParsedQuery, parse_moment, parse_query

__all__ = [
    "Filters",
    "Hit",
    "LexicalIndex",
    "Order",
    "ParsedQuery",
    "highlights",
    "parse_moment",
    "parse_query",
]
