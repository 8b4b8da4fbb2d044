"""Personal data: what is found, what is left alone, and that redacting is a projection."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from madang.text.net_patterns import emails
from madang.text.number_patterns import is_resident_number, luhn
from madang.text.personal_data import KINDS, find_personal_data, redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("mina@town.example", "[email]"),
        ("제 이메일은mina.kim+a@mail.co.kr이에요", "제 이메일은[email]이에요"),
        ("Write to <mina@town.example>, please.", "Write to <[email]>, please."),
        ("mina＠town.example", "[email]"),
        ("mina [at] town (dot) example", "[email]"),
        ("mailto:mina@town.example", "mailto:[email]"),
        ("010-1234-5678로 연락 주세요", "[phone]로 연락 주세요"),
        ("번호는010.1234.5678입니다", "번호는[phone]입니다"),
        ("01012345678", "[phone]"),
        ("010 1234 5678/010 2222 3333", "[phone]/[phone]"),
        ("+82 10-1234-5678", "[phone]"),
        ("+82-(0)10-1234-5678", "[phone]"),
        ("02-123-4567, (031) 123-4567, 02) 6744-4225", "[phone], [phone], [phone]"),
        ("070-1234-5678 / 0504-1234-5678", "[phone] / [phone]"),
        ("+1 (415) 555-2671 or (415) 555-2671", "[phone] or [phone]"),
        ("1-800-555-0199... 415.555.2671", "[phone]... [phone]"),
        ("+44 20 7946 0958; 020 7946 0958", "[phone]; [phone]"),
        ("+33 1 23 45 67 89, 01 23 45 67 89", "[phone], [phone]"),
        ("00 353 1 761 7844", "[phone]"),
        ("Contact: 9447000000, 9446000001", "Contact: [phone], [phone]"),
        ("call me at 555 123 4567", "call me at [phone]"),
        ("900101-1234568", "[id number]"),
        ("주민번호 9001011234568 맞나요", "주민번호 [id number] 맞나요"),
        ("210305-3123456", "[id number]"),
        ("4111 1111 1111 1111", "[card]"),
        ("5555-5555-5555-4444.", "[card]."),
        ("3782 822463 10005 exp 12/27", "[card] exp 12/27"),
        ("ping 203.0.113.9:8080", "ping [ip address]:8080"),
        ("http://203.0.113.9/x", "http://[ip address]/x"),
        ("2001:db8:85a3::8a2e:370:7334", "[ip address]"),
        ("key AKIAIOSFODNN7EXAMPLE here", "key [secret] here"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[secret]"),
        ("API_KEY = 'd41d8cd98f00b204'", "API_KEY = '[secret]'"),
        ("password: hunter2222", "password: [secret]"),
        ("비밀번호는 abc12345 입니다", "비밀번호는 [secret] 입니다"),
        ("https://mina:pa55@town.example/x", "https://[secret]@town.example/x"),
        ("Authorization: Bearer abc123abc123abc123abc123", "Authorization: Bearer [secret]"),
        (
            "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb",
            "a\n[secret]\nb",
        ),
    ],
)
def test_what_is_found(text: str, redacted: str) -> None:
    assert redact(text).text == redacted


@pytest.mark.parametrize(
    "text",
    [
        "@alice@mastodon.social, see https://mastodon.social/@alice",
        "https://remote.example/@alice@mastodon.social",
        "icon@2x.png",
        "git clone git@github.com:a/b",
        "pip install madang@1.2.3",
        "2026-11-23, 2026.11.23 10:30, 23.11.2026, 19-8-18",
        "2018-08-19 10:30:22.123456",
        "1,234,567,890원, $1,234,567.89, € 12 345 678, 100 000 000",
        "+100 000 000 000 and +10,000,000",
        "1588-1592, 1600–1868, 1999-2000 2001-2002",
        "v1.2.3.4, version 10.0.19041.1, Chrome 26.0.1410.63, see 1.2.3.4",
        "127.0.0.1 and ::1",
        "at 12:34:56, std::vector::size, 10:20:30:40",
        "https://x.com/a/status/1041234567890123456",
        "https://town.example/?tel=010-1234-5678&id=4111111111111111",
        "order #1234567890, order 111-5014070-4118645, 신청번호 1AA-1707-287003",
        "ISBN 978-0-596-15806-4",
        "3.14159265358979, 1542390642",
        "4111 1111 1111 1112",
        "900101-1234567, 901301-1234568",
        "6-2 3-6 6-7(2) 6-3 7-5",
        "password reset, the token is gone; password: please change it",
        "계좌 110-123-456789",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert redact(text).text == text


def test_counts_and_spans() -> None:
    text = "a@b.example 👋 010-1234-5678, c@d.example"
    redaction = redact(text)
    assert redaction.text == "[email] 👋 [phone], [email]"
    assert redaction.kinds == {"email": 2, "phone": 1}
    assert [text[start:end] for start, end, _, _ in redaction.spans] == [
        "a@b.example",
        "010-1234-5678",
        "c@d.example",
    ]


SNIPPETS = st.sampled_from(
    [
        "mina@town.example",
        "@alice@mastodon.social",
        "010-1234-5678",
        "01012345678",
        "9447000000",
        "+44 20 7946 0958",
        "415-555-2671",
        "call",
        "전화",
        "900101-1234568",
        "4111 1111 1111 1111",
        "203.0.113.9",
        "2001:db8:85a3::8a2e:370:7334",
        "AKIAIOSFODNN7EXAMPLE",
        "password: abc12345",
        "https://a:b1@c.example/",
        "https://town.example/010-1234-5678",
        "-----BEGIN PRIVATE KEY-----",
        "[phone]",
        "[id number]",
        *" \n.,:/-()+@[]#1가",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.one_of(SNIPPETS, st.text("0123456789-. ()+@:abc한", max_size=12)), max_size=12).map(
        "".join
    ),
)


@given(TEXTS)
@example("4111 1111 1111 1111 4111 1111 1111 1111 010-1234-5678 9447000000")
@example("415-555-2671 9447000000 +4111 1111 1111 1111")
def test_spans_map_and_twice_is_once(text: str) -> None:
    redaction = redact(text)
    pieces, at, new_at = [], 0, 0
    for start, end, new_start, new_end in redaction.spans:
        assert at <= start < end
        assert text[at:start] == redaction.text[new_at:new_start]
        assert redaction.text[new_start:new_end][1:-1] in KINDS
        pieces += [text[at:start], redaction.text[new_start:new_end]]
        at, new_at = end, new_end
    assert "".join(pieces) + text[at:] == redaction.text
    assert redaction.kinds.total() == len(redaction.spans)
    assert redact(redaction.text).text == redaction.text


@given(
    st.text(st.characters(blacklist_categories=["Nd"], blacklist_characters="@＠:"), max_size=200)
)
def test_without_digits_signs_and_colons_nothing_is_touched(text: str) -> None:
    if not any(word in text for word in ("PRIVATE KEY", "at", "골뱅이")):
        assert redact(text).text == text


@given(st.integers(0, 10**15))
def test_a_card_is_told_by_its_check_digit(number: int) -> None:
    digits = f"4{number:014d}"[:15]
    checked = [digits + str(check) for check in range(10)]
    assert [redact(one).text for one in checked].count("[card]") == 1
    assert sum(map(luhn, checked)) == 1


@given(st.dates(), st.integers(0, 99999))
def test_a_resident_number_is_told_by_its_check_digit(day: object, serial: int) -> None:
    body = f"{day:%y%m%d}1{serial:05d}"
    checked = [body + str(check) for check in range(10)]
    assert sum(is_resident_number(one) for one in checked) <= 1


@pytest.mark.parametrize(
    "hostile",
    [
        "1" * 1_000_000,
        "+1" * 500_000,
        "+1 1 " * 200_000,
        "a@" * 500_000,
        "a." * 500_000 + "@",
        "eyJ" * 300_000,
        "eyJaaaaaaaaaaa.eyJ" * 50_000,
        "-----BEGIN PRIVATE KEY-----" * 30_000,
        ":1" * 500_000,
        "1." * 500_000,
        "010-1234-5678 " * 20_000,
        "mina@town.example " * 20_000,
        "call " + "9447000000 " * 20_000,
        "4111 1111 1111 1111 " * 20_000,
        "password " * 100_000,
        "비밀번호" * 200_000,
        "https://a:" * 100_000,
        " [at]" * 200_000,
    ],
    ids=lambda text: text[:16],
)
def test_a_megabyte_of_anything_takes_no_longer_than_its_length(hostile: str) -> None:
    assert _seconds(lambda: redact(hostile)) < 6


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def test_many_numbers_in_a_row_are_all_found() -> None:
    text = " ".join(["010-1234-5678"] * 500)
    assert len(find_personal_data(text)) == 500


def test_addresses_by_chance() -> None:
    rng = random.Random(7)
    for _ in range(300):
        name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=rng.randint(1, 20)))
        host = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(1, 20)))
        address = f"{name}@{host}.example"
        assert list(emails(f"({address})")) == [(1, len(address) + 1)]
