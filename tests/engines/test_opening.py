from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from raw_server import LISTED, RawServer, http

from madang.engines import EmbeddedEngine, EngineError, OpenAICompatibleEngine, open_engine
from madang.engines.openmp import carried_libgomp, system_has_libgomp
from madang.engines.processor import check_processor, usable_cores


def test_a_url_opens_a_server(serve: Callable[..., RawServer]) -> None:
    server = serve(models=http(200, json.dumps(LISTED)))
    engine = open_engine(server.url, api_key="k")
    assert isinstance(engine, OpenAICompatibleEngine)
    assert engine.name == "test-model"
    assert server.requests[0][1]["authorization"] == "bearer k"
    engine.close()


def test_a_path_opens_a_file(weights: Path, tmp_path: Path) -> None:
    link = tmp_path / "이름 with spaces.gguf"
    link.symlink_to(weights)
    engine = open_engine(str(link))
    assert isinstance(engine, EmbeddedEngine)
    assert engine.name == "이름 with spaces"
    assert engine.tokenize("바다")
    engine.close()


@pytest.mark.parametrize(
    ("model", "because"),
    [
        ("/no/such/model.gguf", "there is no model file /no/such/model.gguf"),
        ("gpt-4o", "there is no model file gpt-4o; give the path of a .gguf file, or the URL"),
        ("", "there is no model file"),
        (".", "there is no model file"),
        ("http://", "it looks like http://HOST:PORT/v1"),
        ("http://127.0.0.1:1/v1", "start the server or correct the address"),
        ("https://user:pw@example.com", "holds no user, key or query"),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_sentence(model: str, because: str) -> None:
    with pytest.raises(EngineError) as refusal:
        open_engine(model)
    assert because in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(EngineError, match=r"notes\.txt is not a GGUF model"):
        open_engine(str(path))


def cpu(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: {flags}\n")
    return path


def test_a_processor_without_avx2_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no AVX2, .*quoted from posts"):
        check_processor(cpu(tmp_path, "fpu sse2 avx fma f16c bmi2"), "x86_64")
    with pytest.raises(EngineError, match=r"no AVX2, BMI2, F16C, FMA, "):
        check_processor(cpu(tmp_path, "fpu sse2"), "AMD64")


def test_other_processors_are_let_through(tmp_path: Path) -> None:
    check_processor(cpu(tmp_path, "fpu avx avx2 fma f16c bmi2"), "x86_64")
    check_processor(cpu(tmp_path, "fp asimd"), "aarch64")
    check_processor(tmp_path / "absent", "x86_64")
    (tmp_path / "silent").write_text("vendor_id: x\n")
    check_processor(tmp_path / "silent", "x86_64")


@pytest.mark.parametrize(
    ("limit", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("10000 100000\n", 1)]
)
def test_a_container_that_may_use_part_of_the_machine(
    tmp_path: Path, limit: str, cores: int
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert usable_cores(tmp_path / "cpu.max") == min(cores, usable_cores(tmp_path / "absent"))


@pytest.mark.parametrize("limit", ["max 100000", "", "a b c", "1 0"])
def test_a_container_without_a_limit(tmp_path: Path, limit: str) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert usable_cores(tmp_path / "cpu.max") == usable_cores(tmp_path / "absent") >= 1


def test_libgomp_is_found_in_a_package_that_carries_it(tmp_path: Path) -> None:
    assert carried_libgomp(["", str(tmp_path)]) is None
    library = tmp_path / "any_package.libs" / "libgomp-870cb1d0.so.1.0.0"
    library.parent.mkdir()
    library.touch()
    assert carried_libgomp(["", str(tmp_path / "absent"), str(tmp_path)]) == library
    assert isinstance(system_has_libgomp(), bool)
