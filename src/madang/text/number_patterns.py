"""Patterns of numbers that lead to a person: cards, resident registration, telephones."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, Literal

NumberKind = Literal["card", "id number", "phone"]
Found = tuple[NumberKind, int, int]

_SEVEN_DIGITS: Final = re.compile(r"\d(?:[ ().–-]{0,3}\d){6}")
# Neither within a word or number, nor behind a currency sign or what joins numbers. Hangul may
# stand right beside a number, as particles do.
_BEFORE: Final = r"(?<![A-Za-z0-9_#$€£₩¥%=&+-])"
_AFTER: Final = r"(?![A-Za-z0-9_%]|[.,:/-]\d| ?[%원])"
# Telephone numbers are also listed: 123-456-7890/123-456-7891.
_AFTER_PHONE: Final = r"(?![A-Za-z0-9_%]|[.:-]\d| ?[%원])"

_CARD: Final = re.compile(
    _BEFORE + r"(?:\d{13,19}|\d{4}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?P=gap)\d{4}(?:(?P=gap)\d{3})?"
    r"|\d{4}(?P<space>[ -])\d{6}(?P=space)\d{4,5})" + _AFTER
)
# Issuers' first digits and lengths (ISO/IEC 7812): Amex, Diners, JCB, Visa, Mastercard, Discover,
# UnionPay, and the cards that are used in Korea alone.
_ISSUERS: Final = re.compile(
    r"3[47]\d{13}|3[068]\d{12}|35\d{14}|4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}|62\d{14}|62\d{17}|9[4-6]\d{14}"
)

_RESIDENT: Final = re.compile(_BEFORE + r"(\d{6})( ?[-–]? ?)([1-8]\d{6})" + _AFTER)
_RESIDENT_WEIGHTS: Final = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
# From then on the last six digits are drawn by chance, without a check digit.
_WITHOUT_CHECK: Final = date(2020, 10, 5)

_J: Final = r"[ .\-–]"  # joins the groups of a telephone number
_PHONE: Final = re.compile(
    _BEFORE + r"(?:"
    # Korean: mobile, joined or not; landlines, internet and safe numbers with their joints.
    rf"\(?01[016789]\)?{_J}{{0,2}}\d{{3,4}}{_J}?\d{{4}}"
    rf"|\(?0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d?|80)\)?{_J}{{1,2}}\d{{3,4}}{_J}\d{{4}}"
    rf"|\(0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4])\)\d{{3,4}}{_J}\d{{4}}"
    # North American: the exchange never begins with 0 or 1.
    rf"|(?:1{_J}?)?(?:\([2-9]\d\d\){_J}?|[2-9]\d\d(?P<n>[.-]))"
    rf"[2-9]\d\d(?(n)(?P=n)|{_J})\d{{4}}"
    rf"|1(?P<m>{_J})[2-9]\d\d(?P=m)[2-9]\d\d(?P=m)\d{{4}}"
    # Elsewhere, with the leading 0 of long distance: London, Tokyo, Paris, British mobiles.
    r"|0\d{1,4}(?P<o>[ -])\d{3,4}(?P=o)\d{3,4}"
    r"|0[1-9](?P<f>[ .])\d\d(?P=f)\d\d(?P=f)\d\d(?P=f)\d\d"
    r"|0[127]\d{3} \d{6}"
    r")" + _AFTER_PHONE
)
_INTERNATIONAL: Final = re.compile(
    rf"(?<![A-Za-z0-9_+])(?:\+{_J}?|00{_J}?)(?P<digits>[1-9]\d{{0,14}}"
    rf"(?:(?:{_J}{{1,2}}\(?|\(|(?<=\)))\d{{1,14}}\)?){{0,6}})" + _AFTER_PHONE
)
# Country codes (ITU-T E.164): of one digit, of two, and the first two digits of those of three;
# more than zeros follow.
_COUNTRY: Final = re.compile(
    r"(?:1|7|20|27|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|(?:2[1-6]|29|35|37|38|42|50|59|67|68|69|80|85|87|88|96|97|99)\d)"
    r"[ .\-–]*(?:\(0\)|[(1-9]|0[1-9])"
)
_CALLED: Final = (
    r"call|text|sms|phone|telephone|mobile|cell|contact|whatsapp|helpline|hotline|landline|dial"
)
_CALLED_KOREAN: Final = r"전화|연락|핸드폰|휴대폰|폰번호|팩스|문자|문의|[☎📞📱🤙]"
# Digits in groups are a telephone number where somebody says so right before them,
_LOOSE: Final = re.compile(_BEFORE + r"\d{3,5}[ -]\d{3}[ -]?\d{3,4}" + _AFTER_PHONE)
_SAID: Final = re.compile(
    rf"(?:\b(?:{_CALLED}|ph|tel|mob|fax|reach|ring|number|no|nos|at|on)s?\b|{_CALLED_KOREAN})"
    r"[^\d\n\[\]]{0,16}$",
    re.IGNORECASE,
)
_NEAR: Final = 32
# and those that have the shape of one where it is said earlier in the line.
_SHAPED: Final = re.compile(
    r"(?<![A-Za-z0-9_#$€£₩¥%=&+])(?<!\d-)(?:[6-9]\d{9}|[6-9]\d{4}[ -]\d{5}|0\d{9,10}"
    r"|0\d{2,3}-\d{7,8}|[2-9]\d\d [2-9]\d\d \d{4})" + _AFTER_PHONE
)
_SAID_EARLIER: Final = re.compile(rf"\b(?:{_CALLED})|{_CALLED_KOREAN}", re.IGNORECASE)
_THOUSANDS: Final = re.compile(r"\d{1,3}(?: \d{3})+")
_FEWEST: Final = 9
_MOST: Final = 15


def may_hold_numbers(text: str) -> bool:
    """Return whether there are digits enough for any of them; fast."""
    return _SEVEN_DIGITS.search(text) is not None


def numbers(text: str, links: Sequence[tuple[int, int]] = ()) -> Iterator[Found]:
    """Yield where such numbers stand, in order, without overlaps; those in links are left out."""
    line_start = looked = end = 0
    said: int | None = None
    words = (match.start() for match in _SAID_EARLIER.finditer(text))
    word = next(words, None)
    for start, kind, stop, needs_word in sorted(_candidates(text)):
        if start < end or _within(links, start) or not _apart(text, start, end):
            continue
        if needs_word:
            while word is not None and word < start:
                said, word = word, next(words, None)
            line_start = max(line_start, text.rfind("\n", looked, start) + 1)
            looked = start
            if said is None or said < line_start:
                continue
        if kind == "phone":
            # Where one stands, others may follow.
            said = max(start, said or 0)
        end = stop
        yield kind, start, stop


def _candidates(text: str) -> Iterator[tuple[int, NumberKind, int, bool]]:
    """Yield (start, kind, end, whether a word must tell that it is a telephone number)."""
    for match in _CARD.finditer(text):
        digits = _digits(match[0])
        if _ISSUERS.fullmatch(digits) and luhn(digits):
            yield match.start(), "card", match.end(), False
    for match in _RESIDENT.finditer(text):
        if is_resident_number(match[1] + match[3], joined=not match[2].strip()):
            yield match.start(), "id number", match.end(), False
    for match in _INTERNATIONAL.finditer(text):
        digits = match["digits"]
        if (
            _FEWEST <= len(_digits(digits)) <= _MOST
            and _COUNTRY.match(digits)
            and not _THOUSANDS.fullmatch(digits)
        ):
            yield match.start(), "phone", match.end(), False
    for match in _PHONE.finditer(text):
        if _FEWEST <= len(_digits(match[0])) <= _MOST:
            yield match.start(), "phone", match.end(), False
    for match in _LOOSE.finditer(text):
        if _SAID.search(text, max(0, match.start() - _NEAR), match.start()):
            yield match.start(), "phone", match.end(), False
    for match in _SHAPED.finditer(text):
        yield match.start(), "phone", match.end(), True


def _within(links: Sequence[tuple[int, int]], place: int) -> bool:
    number = bisect_right(links, (place, 1 << 62))
    return number > 0 and place < links[number - 1][1]


def _apart(text: str, start: int, end: int) -> bool:
    """Return whether a number is no later group of another one that was not found."""
    joined = start >= 2 and text[start - 1] in ".,:/ " and text[start - 2].isdigit()
    return not joined or start - 1 == end


def luhn(digits: str) -> bool:
    """Return whether the last digit checks the others (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111")
    True
    """
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_resident_number(digits: str, *, joined: bool = False) -> bool:
    """Return whether 13 digits are a Korean resident registration number.

    The first six are a day of birth, the seventh says century and sex, the last one checks the
    others; those of people born since October 2020 have no check digit. `joined` says that they
    were written without a hyphen, where chance needs the check digit against it.
    """
    century = {1: 1900, 2: 1900, 5: 1900, 6: 1900}.get(int(digits[6]), 2000)
    try:
        born = date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    total = sum(w * int(d) for w, d in zip(_RESIDENT_WEIGHTS, digits, strict=False))
    checks = {(11 - total % 11) % 10}
    if digits[6] in "5678":
        checks.add((13 - total % 11) % 10)
    return int(digits[12]) in checks or (born >= _WITHOUT_CHECK and not joined)


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))
