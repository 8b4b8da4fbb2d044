"""The same functions on Ray Data: on a real cluster of this machine, the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from curating import at, post, sentence, written

from madang.corpus import curate

pytest.importorskip("ray.data", reason="Ray is not installed; it comes with the extra `cluster`")
import ray.data


def test_a_cluster_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed_over: list[int] = []
    from_arrow = ray.data.from_arrow

    def counted(tables: list[Any]) -> Any:
        handed_over.append(sum(map(len, tables)))
        return from_arrow(tables)

    monkeypatch.setattr(ray.data, "from_arrow", counted)
    log = written(
        tmp_path,
        [
            post(
                f"{n}",
                f"{sentence(n % 1800, 20)} call 010-1234-5678",
                created_at=at(n),
                reply_to=f"t:{n - 7}" if n % 5 == 0 and n > 7 else None,
            )
            for n in range(2100)
        ],
    )
    local = curate(log, tmp_path / "local", workers=1)
    on_ray = curate(log, tmp_path / "ray", workers=2, engine="ray")
    assert not ray.is_initialized()
    assert max(handed_over) == 2100
    names = sorted(path.name for path in local.folder.iterdir())
    assert names == sorted(path.name for path in on_ray.folder.iterdir())
    assert on_ray.fingerprint == local.fingerprint
    for name in names:
        assert (on_ray.folder / name).read_bytes() == (local.folder / name).read_bytes(), name
