"""Patterns of secrets: private keys, tokens of well-known services, passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

Span = tuple[int, int]

_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?!-----END)[\s\S])*(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?"
)
# The prefixes are those that the services document for finding leaked tokens.
_TOKEN: Final = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,244}|glpat-[A-Za-z0-9_-]{20,64}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,250}"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9]{24,64}"
    r"|sk-(?=[A-Za-z0-9_-]{0,40}\d)(?:proj-|ant-|or-v1-)?[A-Za-z0-9_-]{20,250}"
    r"|hf_[A-Za-z]{30,40}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{40,250}"
    r"|dop_v1_[a-f0-9]{64}|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"
    r"|\d{8,10}:AA[A-Za-z0-9_-]{33}"
    r"|eyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{10,2000}"
    r")(?![A-Za-z0-9_-])"
)
_TOKEN_HINT: Final = re.compile(
    r"A[KS]IA|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AIza|ya29|k_live_|k_test_|whsec_|sk-"
    r"|hf_|npm_|pypi-|dop_v1_|SG\.|:AA|eyJ"
)
_CALLED: Final = (
    r"(?:api|access|secret|private|auth|client)[ _-]?(?:key|token|secret)|password|passwd|passcode"
    r"|pwd|비밀번호|비번|패스워드|암호"
)
# A value that somebody writes beside such a name: letters and digits together, as words are not.
_ASSIGNED: Final = re.compile(
    rf"(?<![A-Za-z])(?:{_CALLED})[\"']?(?:는|은| is)? ?[:=]?[ \"'`]{{0,2}}"
    r"(?<=[:= \"'`])(?P<value>(?=\S{0,64}\d)(?=\S{0,64}[A-Za-z])[A-Za-z0-9_!#$%^&*+=~/.-]{8,128})",
    re.IGNORECASE,
)
_ASSIGNED_HINT: Final = re.compile(r"key|pass|pwd|token|secret|비밀|비번|패스|암호")
_BEARER: Final = re.compile(r"\bBearer (?P<value>(?=\S{0,80}\d)[A-Za-z0-9._~+/=-]{20,4000})")
_IN_LINK: Final = re.compile(r"://(?P<value>[^\s/@:\[\]]{1,64}:[^\s/@\[\]]{1,128})@[A-Za-z0-9]")


def secrets(text: str) -> Iterator[Span]:
    """Yield where secrets stand; of an assignment the value alone."""
    if "PRIVATE KEY" in text:
        for match in _PRIVATE_KEY.finditer(text):
            yield match.span()
    if _TOKEN_HINT.search(text):
        for match in _TOKEN.finditer(text):
            yield match.span()
    if "Bearer " in text:
        for match in _BEARER.finditer(text):
            yield match.span("value")
    if "://" in text and "@" in text:
        for match in _IN_LINK.finditer(text):
            yield match.span("value")
    if _ASSIGNED_HINT.search(text.lower()):
        for match in _ASSIGNED.finditer(text):
            yield match.span("value")
