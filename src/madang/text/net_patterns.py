"""Patterns of the net: links, e-mail addresses, IP addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address
from typing import Final

Span = tuple[int, int]

_LINK: Final = re.compile(r"(?:https?://|www\.)[^\s<>\"'\[\]]+", re.IGNORECASE)

# RFC 5321 bounds the parts. The name before the sign is ASCII, so that a Korean particle or word
# beside an address stays; a name after another sign is a mention (@alice@mastodon.social).
_NAME: Final = r"(?<![A-Za-z0-9._%+@＠-])[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?"
_HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
_TOP: Final = r"(?:[A-Za-z]{2,24}|한국|닷컴)(?![A-Za-z0-9_-]|\.[A-Za-z0-9])"
_EMAIL: Final = re.compile(rf"(?P<name>{_NAME})[@＠]{_HOST}(?P<top>{_TOP})")
# Written so that machines do not find it: mina [at] town (dot) example.
_SPELLED: Final = re.compile(
    rf"{_NAME} ?[\[({{<] ?(?:at|@|골뱅이) ?[\])}}>] ?"
    r"[A-Za-z0-9-]{1,63}(?: ?[\[({<] ?(?:dot|\.|점) ?[\])}>] ?|\.)[A-Za-z]{2,24}(?![A-Za-z0-9])",
    re.IGNORECASE,
)
# Names of files (`icon@2x.png`) end like addresses.
_FILE_ENDINGS: Final = frozenset(
    ("png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "ico", "js", "css", "html", "pdf")
)
# `git@github.com` is the same for everybody.
_NOBODY: Final = frozenset({"git", "hg", "svn"})

_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4: Final = re.compile(rf"(?<![\w.:+-])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w-]|\.\w)")
_OUTLINE: Final = re.compile(r"\d\.\d\.\d\.\d")
_VERSION: Final = re.compile(
    r"(?:\bv|\bver(?:sion)?s?|\brelease|\bbuild|\bfirmware|\bupdate|\bpatch|\bfw|\bios|\bandroid|"
    r"\bchrome|\bdriver|버전|빌드|펌웨어|업데이트)[ .:#]{0,3}$",
    re.IGNORECASE,
)
_NOWHERE: Final = frozenset({"0.0.0.0", "127.0.0.1", "255.255.255.255"})  # noqa: S104
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?![\w:])")
_FEWEST_GROUPS: Final = 3


def links(text: str) -> list[Span]:
    """Return where web links stand."""
    if "://" not in text and "ww." not in text.lower():
        return []
    return [match.span() for match in _LINK.finditer(text)]


def emails(text: str) -> Iterator[Span]:
    """Yield where e-mail addresses stand, spelled out ones too."""
    if "@" in text or "＠" in text:
        for match in _EMAIL.finditer(text):
            if match["top"].lower() not in _FILE_ENDINGS and match["name"].lower() not in _NOBODY:
                yield match.span()
    if ("[" in text or "(" in text or "{" in text or "<" in text) and _BRACKET_AT.search(text):
        for match in _SPELLED.finditer(text):
            yield match.span()


_BRACKET_AT: Final = re.compile(r"[\[({<] ?(?:at|@|골뱅이) ?[\])}>]", re.IGNORECASE)


def ip_addresses(text: str) -> Iterator[Span]:
    """Yield where IP addresses stand, but for those that are every machine's own."""
    if text.count(".") > 2:
        for match in _IPV4.finditer(text):
            address = match[0]
            if address in _NOWHERE or _OUTLINE.fullmatch(address):
                continue
            if not _VERSION.search(text, max(0, match.start() - 16), match.start()):
                yield match.span()
    if text.count(":") > 1:
        for match in _IPV6.finditer(text):
            groups = [group for group in match[0].split(":") if group]
            if len(groups) >= _FEWEST_GROUPS and _is_ipv6(match[0]):
                yield match.span()


def _is_ipv6(address: str) -> bool:
    try:
        return not IPv6Address(address).is_loopback
    except AddressValueError:
        return False
