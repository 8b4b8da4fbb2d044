"""Reading `release.json`, and noticing what was changed after it was written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

for _needed in ("torch", "transformers", "gguf"):
    pytest.importorskip(_needed, reason="needs the extra `train`")

import numpy as np  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from madang.release import Check, Release  # noqa: E402
from madang.release.checks import all_equal, difference, mean_kl, top_1  # noqa: E402

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
RECORD: dict[str, Any] = {
    "name": "one",
    "run": "a run",
    "base": None,
    "method": "full",
    "created_at": "2026-11-25T22:13:54.000+00:00",
    "parameters": 123,
    "files": {"model-f16.gguf": {"bytes": 3, "sha256": "0" * 64}},
    "checks": {
        "gguf-f16/mean_kl": {
            "ok": True, "value": 1e-7, "rule": "at most", "bound": 1e-5, "compared": 24,
        },
    },
    "ledger": "f" * 64,
}  # fmt: skip


def write(folder: Path, record: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "release.json").write_text(json.dumps(record), "utf-8")
    return folder


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    release = Release.open(write(tmp_path / "one", RECORD))
    assert release.to_json() == RECORD
    assert Release.open(write(tmp_path / "one", release.to_json())) == release


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=JSON)
def test_anything_else_is_one_sentence(record: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"release\.json"):
        Release.open(write(tmp_path / "one", record))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_record_with_a_wrong_part_is_refused_or_right(
    data: st.DataObject, tmp_path: Path
) -> None:
    record = json.loads(json.dumps(RECORD))
    place: Any = record
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if isinstance(place[key], dict) and data.draw(st.booleans()):
            place = place[key]
        else:
            break
    place[key] = data.draw(JSON)
    try:
        found = Release.open(write(tmp_path / "one", record))
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        again = json.loads(json.dumps(found.to_json()))
        assert Release.open(write(tmp_path / "one", again)) == found


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "", "a\\b"])
def test_files_stay_inside_the_release(name: str, tmp_path: Path) -> None:
    record = RECORD | {"files": {name: {"bytes": 3, "sha256": "0" * 64}}}
    with pytest.raises(ValueError, match="is not inside the release"):
        Release.open(write(tmp_path / "one", record))


def test_a_check_cannot_claim_what_its_value_denies(tmp_path: Path) -> None:
    record = json.loads(json.dumps(RECORD))
    record["checks"]["gguf-f16/mean_kl"]["value"] = 1.0
    with pytest.raises(ValueError, match="says of itself what its value does not"):
        Release.open(write(tmp_path / "one", record))


def test_damaged_bytes_are_one_sentence(tmp_path: Path) -> None:
    for content in (b"", b"\xff\xfe", b"[" * 100_000, b'{"name": "one"'):
        folder = write(tmp_path / "one", {})
        (folder / "release.json").write_bytes(content)
        with pytest.raises(ValueError, match="this is not a release"):
            Release.open(folder)
    with pytest.raises(ValueError, match="this is not a release"):
        Release.open(tmp_path / "absent")


def test_what_was_changed_after_publishing_is_named(scratch: Release, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(scratch.folder, tmp_path / scratch.name))
    release = Release.open(folder)
    assert release.check() == ()
    with (folder / "model-f16.gguf").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").unlink()
    ledger = folder / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:-1]))
    said = "\n".join(release.check())
    assert "model-f16.gguf was changed after it was published" in said
    assert "config.json has 2 bytes and was published with" in said
    assert "tokenizer.json cannot be read" in said
    assert "ledger.jsonl lacks the line that closed this release" in said
    assert len(release.check()) == 4
    ledger.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    assert any("cannot be trusted" in sentence for sentence in release.check())


def rows(*probabilities: list[float]) -> np.ndarray:
    return np.log(np.asarray(probabilities, dtype=np.float64)).astype(np.float32)


def test_the_measures_are_what_they_are_called() -> None:
    ours, theirs = rows([0.5, 0.5], [0.9, 0.1]), rows([0.25, 0.75], [0.9, 0.1])
    kl = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert mean_kl("kl", ours, theirs, 1.0).value == pytest.approx(kl / 2, rel=1e-5)
    assert mean_kl("kl", ours, ours, 1.0).value == 0
    assert difference("d", ours, theirs, 1.0).value == pytest.approx(np.log(2), rel=1e-5)
    # The first place is a tie, so it is not compared.
    best = np.array([1, 1])
    found = top_1("top", ours, best, 0.99)
    assert (found.value, found.compared, found.ok) == (0.0, 1, False)
    assert top_1("top", ours, np.array([1, 0]), 0.99).ok


def test_what_is_not_a_number_keeps_no_promise() -> None:
    ours = rows([0.5, 0.5])
    theirs = np.full_like(ours, np.nan)
    for check in (
        difference("d", ours, theirs, 1.0),
        mean_kl("kl", ours, theirs, 1.0),
        top_1("top", ours, np.array([0]), 0.0),
    ):
        assert not check.ok
        assert Check.from_json(check.name, json.loads(json.dumps(check.to_json()))).ok is False


def test_a_vanished_probability_does_not_spoil_a_difference() -> None:
    ours = np.array([[0.0, -200.0]], dtype=np.float32)
    theirs = np.array([[0.0, -3.4e38]], dtype=np.float32)
    assert difference("d", ours, theirs, 1e-3).ok
    assert mean_kl("kl", ours, theirs, 1e-5).ok


def test_what_differs_is_counted_and_shown() -> None:
    found = all_equal("ids", [[1], [2], [3]], [[1], [9], [8]], ["a", "the text", "c"])
    assert (found.value, found.compared, found.ok) == (2.0, 3, False)
    assert "the text" in found.detail
