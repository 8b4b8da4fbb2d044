"""A ledger shows every change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.training.ledger import FIRST, Ledger, LedgerError, verify


def filled(path: Path) -> Ledger:
    ledger = Ledger(path / "ledger.jsonl")
    ledger.append("start", {"step": 0, "text": "마당"})
    ledger.append("checkpoint", {"step": 5, "files": {"weights": "ab"}})
    ledger.append("end", {"step": 9})
    return ledger


def test_lines_follow_from_one_another(tmp_path: Path) -> None:
    lines = filled(tmp_path).lines()
    assert [line["kind"] for line in lines] == ["start", "checkpoint", "end"]
    assert lines[0]["previous"] == FIRST
    assert lines[1]["previous"] == lines[0]["hash"]
    assert [line["number"] for line in lines] == [1, 2, 3]


@given(data=st.data())
def test_every_changed_byte_is_found(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = filled(tmp_path_factory.mktemp("ledger")).path
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 2))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(LedgerError):
        verify(path)


@pytest.mark.parametrize("gone", [0, 1])
def test_a_line_taken_out_is_found(tmp_path: Path, gone: int) -> None:
    path = filled(tmp_path).path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    with pytest.raises(LedgerError, match=f"line {gone + 1} does not follow"):
        verify(path)


def test_a_torn_last_line_is_removed_by_the_next(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    with ledger.path.open("ab") as file:
        file.write(b'{"kind":"torn"')
    ledger.append("resume", {"step": 5})
    assert [line["kind"] for line in ledger.lines()][-2:] == ["end", "resume"]


def test_own_columns_are_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="own columns"):
        Ledger(tmp_path / "l").append("start", {"hash": "x"})
    with pytest.raises(ValueError, match="JSON"):
        Ledger(tmp_path / "l").append("start", {"loss": float("nan")})


def test_a_line_that_is_no_ledgers(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(LedgerError, match="not a ledger's line"):
        Ledger(path).append("start", {})
