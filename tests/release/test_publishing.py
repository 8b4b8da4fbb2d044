"""What is published is the model; what is not the model is not published."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

for _needed in ("torch", "transformers", "gguf"):
    pytest.importorskip(_needed, reason="needs the extra `train`")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from madang.engines import EmbeddedEngine, Message, Sampling  # noqa: E402
from madang.engines.gguf import read_gguf_metadata  # noqa: E402
from madang.model.segments import Segments  # noqa: E402
from madang.release import (  # noqa: E402
    FORMATS,
    Format,
    Progress,
    Release,
    ReleaseRefusedError,
    list_releases,
    proof,
    publish,
    publishing,
)
from madang.release.run_model import load_run  # noqa: E402
from madang.text.chat_template import render  # noqa: E402
from madang.text.tokenizer import Tokenizer  # noqa: E402
from madang.training.ledger import verify  # noqa: E402
from madang.training.state import read_state  # noqa: E402

CONVERSATION = [{"role": "user", "content": "When does the ferry leave?"}]
GGUF = ("gguf-f32", "gguf-f16", "gguf-q8_0")


def test_every_format_is_there_and_proven(scratch: Release, lora: Release) -> None:
    for release, formats in ((scratch, FORMATS[:-1]), (lora, FORMATS)):
        assert all(check.ok for check in release.checks.values())
        for format in formats:
            assert release.checks[f"{format}/loads"].ok
        for format in ("safetensors", *GGUF):
            assert release.checks[f"{format}/token_ids"].compared >= 40
            assert release.checks[f"{format}/chat_template"].value == 0
        assert release.checks["safetensors/log_probabilities"].compared == 256
        assert release.checks["gguf-q8_0/mean_kl"].value > 0
        assert release.check() == ()
        named = {path.relative_to(release.folder).as_posix() for path in files_in(release.folder)}
        assert named == {*release.files, "release.json", "ledger.jsonl"}
    assert set(lora.files) - set(scratch.files) == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
    }
    assert (lora.name, lora.run, lora.base, lora.method) == ("마당-1.0", "lora", "base", "lora")
    assert (scratch.name, scratch.base, scratch.method) == ("scratch", None, "full")


def test_transformers_loads_it_without_code_of_ours(
    scratch: Release, scratch_run: Path, tokenizer: Tokenizer
) -> None:
    import transformers

    theirs = transformers.AutoModelForCausalLM.from_pretrained(scratch.folder, dtype=torch.float32)
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(scratch.folder)
    assert theirs.num_parameters() == scratch.parameters
    text = their_tokenizer.apply_chat_template(
        CONVERSATION, tokenize=False, add_generation_prompt=True
    )
    assert text == render(CONVERSATION, add_generation_prompt=True)
    ids = their_tokenizer(text, return_tensors="pt")["input_ids"]
    ours = load_run(scratch_run).model
    with torch.inference_mode():
        expected = ours.logits(ours.hidden(ids[0], Segments.from_lengths([len(ids[0])])))
        torch.testing.assert_close(theirs(ids).logits[0], expected, atol=1e-4, rtol=0)
    ends = theirs.generation_config.eos_token_id
    assert ends == [tokenizer.special["<|im_end|>"], tokenizer.end_of_text]


def test_the_engine_serves_it(lora: Release, scratch: Release) -> None:
    assert lora.gguf_path() == lora.folder / "model-q8_0.gguf"
    assert lora.gguf_path("f32") == lora.folder / "model-f32.gguf"
    engine = EmbeddedEngine(scratch.gguf_path(), context_length=128)
    try:
        assert list(engine.generate([Message("user", "Hello")], Sampling(max_tokens=5)))
    finally:
        engine.close()


def test_the_ledger_goes_on_from_the_runs(lora: Release, lora_run: Path) -> None:
    lines = verify(lora.folder / "ledger.jsonl")
    of_run = verify(lora_run / "ledger.jsonl")
    kinds = [line["kind"] for line in lines]
    begun = kinds.index("release")
    assert lines[:begun] == of_run[:begun] and begun > 3
    assert lines[begun]["weights"] == of_run[begun - 1]["weights"]
    assert {line["file"]: line["sha256"] for line in lines if line["kind"] == "export"} == {
        name: file.sha256 for name, file in lora.files.items()
    }
    assert {line["name"] for line in lines if line["kind"] == "check"} == set(lora.checks)
    assert (kinds[-1], lines[-1]["hash"]) == ("published", lora.ledger)
    assert of_run[begun]["ledger"] == lora.ledger
    assert read_state(lora_run).release == lora.name


def test_releases_are_listed_newest_first(
    lora_run: Path, scratch_run: Path, tmp_path: Path
) -> None:
    first = publish(scratch_run, tmp_path, formats=["gguf-q8_0"])
    second = publish(scratch_run, tmp_path, name="again", formats=["gguf-q8_0"])
    assert first.gguf_path("f32").name == "model-q8_0.gguf"
    (tmp_path / "no release").mkdir()
    (tmp_path / "a file").touch()
    assert [release.name for release in list_releases(tmp_path)] == ["again", "scratch"]
    assert list_releases(tmp_path)[0] == second
    assert list_releases(tmp_path / "absent") == []


def test_it_says_what_it_does(lora_run: Path, tmp_path: Path) -> None:
    said: list[Progress] = []
    publish(lora_run, tmp_path, formats=["adapter", "safetensors"], progress=said.append)
    assert [(one.stage, one.format, one.done, one.of) for one in said] == [
        ("export", "safetensors", 0, 4),
        ("export", "adapter", 1, 4),
        ("prove", "safetensors", 2, 4),
        ("prove", "adapter", 3, 4),
    ]


# -- faults -----------------------------------------------------------------------------------


def change_weight(path: Path, name: str) -> None:
    tensors = load_file(path)
    tensors[name][3, 5] += 0.25
    save_file(tensors, path, {"format": "pt"})


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_text(json.dumps(value), "utf-8")


def change_bytes(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert len(old) == len(new) and content.count(old) >= 1
    path.write_bytes(content.replace(old, new))


def swap_merges(folder: Path) -> None:
    def swap(document: Any) -> None:
        merges = document["model"]["merges"]
        merges[0], merges[40] = merges[40], merges[0]

    change_json(folder / "tokenizer.json", swap)


def lower_case(folder: Path) -> None:
    change_json(
        folder / "tokenizer.json", lambda value: value.update(normalizer={"type": "Lowercase"})
    )


def turn_template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text("utf-8").replace("<|im_end|>' + '\\n'", "<|im_end|>'"), "utf-8")


def change_gguf_merge(folder: Path) -> None:
    """Swap the two sides of the commonest pair, so that it is never joined."""
    one, other = gguf_merges(folder)[0].encode().split(b" ")
    change_bytes(folder / "model-f32.gguf", b"%s %s" % (one, other), b"%s %s" % (other, one))


def swap_gguf_merges(folder: Path) -> None:
    """Swap two late merges that have nothing to do with each other and are equally long."""
    merges = [merge.encode() for merge in gguf_merges(folder)][::-1]
    one, other = next(
        (a, b)
        for a, b in combinations(merges, 2)
        if len(a) == len(b) and not set(a.split()[0] + a.split()[1]) & set(b)
    )
    path, texts = folder / "model-f32.gguf", [_gguf_text(one), _gguf_text(other)]
    change_bytes(path, texts[0], b"?" * len(texts[0]))
    change_bytes(path, texts[1], texts[0])
    change_bytes(path, b"?" * len(texts[0]), texts[1])


def _gguf_text(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


def gguf_merges(folder: Path) -> list[str]:
    merges = read_gguf_metadata(folder / "model-f32.gguf")["tokenizer.ggml.merges"]
    assert isinstance(merges, list)
    return [str(merge) for merge in merges]


def add_bos(folder: Path) -> None:
    key, kind = b"tokenizer.ggml.add_bos_token", (7).to_bytes(4, "little")
    change_bytes(folder / "model-f32.gguf", key + kind + b"\0", key + kind + b"\1")


def change_gguf_weight(folder: Path, name: str = "blk.1.ffn_down.weight") -> None:
    from gguf import GGUFReader

    path = folder / "model-f32.gguf"
    tensor = next(tensor for tensor in GGUFReader(path).tensors if tensor.name == name)
    with path.open("r+b") as file:
        file.seek(int(tensor.data_offset) + 4 * 17)
        file.write(np.float32(1.5).tobytes())


def cut(folder: Path) -> None:
    path = folder / "model-f32.gguf"
    path.write_bytes(path.read_bytes()[:-4096])


def coarser(folder: Path) -> None:
    """Round every q8_0 weight to a sixteenth of its steps, as a wrong block size would."""
    from gguf import GGMLQuantizationType, GGUFReader

    path = folder / "model-q8_0.gguf"
    content = bytearray(path.read_bytes())
    for tensor in GGUFReader(path).tensors:
        if tensor.tensor_type == GGMLQuantizationType.Q8_0:
            start = int(tensor.data_offset)
            blocks = np.frombuffer(bytes(content[start : start + tensor.n_bytes]), np.int8)
            blocks = blocks.reshape(-1, 34).copy()
            blocks[:, 2:] = blocks[:, 2:] // 16 * 16
            content[start : start + tensor.n_bytes] = blocks.tobytes()
    path.write_bytes(content)


FAULTS: list[tuple[Format, str, Callable[[Path], None]]] = [
    (
        "safetensors",
        "safetensors/log_probabilities",
        lambda f: change_weight(f / "model.safetensors", "model.layers.0.self_attn.q_proj.weight"),
    ),
    ("safetensors", "safetensors/tokenizer", swap_merges),
    ("safetensors", "safetensors/token_ids", lower_case),
    ("safetensors", "safetensors/chat_template", turn_template),
    (
        "safetensors",
        "safetensors/log_probabilities",
        lambda f: change_json(
            f / "config.json",
            lambda value: value.update(rope_theta=5e5, rope_parameters={"rope_theta": 5e5}),
        ),
    ),
    ("safetensors", "safetensors/loads", lambda f: (f / "config.json").write_text("{}") and None),
    ("gguf-f32", "gguf-f32/log_probabilities", change_gguf_weight),
    ("gguf-f32", "gguf-f32/token_ids", change_gguf_merge),
    ("gguf-f32", "gguf-f32/tokenizer", swap_gguf_merges),
    ("gguf-f32", "gguf-f32/token_ids", add_bos),
    (
        "gguf-f32",
        "gguf-f32/chat_template",
        lambda f: change_bytes(f / "model-f32.gguf", b"'<|im_start|>' + m", b"'<|im_stop|> ' + m"),
    ),
    ("gguf-f32", "gguf-f32/loads", cut),
    ("gguf-q8_0", "gguf-q8_0/mean_kl", coarser),
    (
        "adapter",
        "adapter/log_probabilities",
        lambda f: change_json(
            f / "adapter" / "adapter_config.json", lambda value: value.update(lora_alpha=8)
        ),
    ),
    (
        "adapter",
        "adapter/log_probabilities",
        lambda f: change_weight(
            f / "adapter" / "adapter_model.safetensors",
            "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight",
        ),
    ),
]


@pytest.mark.parametrize(("format", "promise", "fault"), FAULTS)
def test_what_is_not_the_model_is_refused(
    format: Format,
    promise: str,
    fault: Callable[[Path], None],
    lora_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = publishing.export

    def faulty(model: Any, tokenizer: Any, folder: Path, *rest: Any, **named: Any) -> Iterator[Any]:
        for written in real(model, tokenizer, folder, *rest, **named):
            fault(folder)
            yield written

    monkeypatch.setattr(publishing, "export", faulty)
    before = read_state(lora_run)
    with pytest.raises(
        ReleaseRefusedError, match=rf"^broken is not published: {promise} "
    ) as found:
        publish(lora_run, tmp_path, name="broken", formats=[format])
    assert found.value.check.name == promise
    assert not found.value.check.ok
    assert len(str(found.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert read_state(lora_run) == before


def test_what_is_too_coarse_for_the_model_is_left_out(
    scratch_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(proof._KL, "q8_0", 1e-5)
    release = publish(scratch_run, tmp_path, formats=["gguf-f16", "gguf-q8_0"])
    assert not release.checks["gguf-q8_0/mean_kl"].ok
    assert release.checks["gguf-q8_0/token_ids"].ok
    assert set(release.files) == {"model-f16.gguf"}
    assert release.gguf_path() == release.folder / "model-f16.gguf"
    assert not (release.folder / "model-q8_0.gguf").exists()
    assert release.check() == ()
    assert "left out" in {line["kind"] for line in verify(release.folder / "ledger.jsonl")}
    assert Release.open(release.folder) == release
    with pytest.raises(ReleaseRefusedError, match="gguf-q8_0/mean_kl"):
        publish(scratch_run, tmp_path, name="alone", formats=["gguf-q8_0"])
    # What no rounding explains is a fault, whatever else there is.
    monkeypatch.setitem(proof._KL, "q8_0", 1e-9)
    with pytest.raises(ReleaseRefusedError, match="gguf-q8_0/mean_kl"):
        publish(scratch_run, tmp_path, name="faulty", formats=["gguf-f16", "gguf-q8_0"])


def test_an_adapter_of_another_run_is_refused(
    lora_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter is put on the base anew; one that belongs to another base shows."""
    run = load_run(lora_run)
    other = run.load_base()
    with torch.no_grad():
        other.layers[0].mlp.up_proj.weight.mul_(1.01)  # type: ignore[union-attr,operator]
    monkeypatch.setattr(publishing, "load_run", lambda *_: replace(run, load_base=lambda: other))
    with pytest.raises(ReleaseRefusedError, match="adapter/log_probabilities"):
        publish(lora_run, tmp_path, formats=["adapter"])


def test_interrupting_leaves_nothing(lora_run: Path, tmp_path: Path) -> None:
    def interrupt(now: Progress) -> None:
        if now.stage == "prove":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(lora_run, tmp_path, formats=["safetensors"], progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_crash_leaves_no_release_and_is_cleared_away(scratch_run: Path, tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from madang.release import publish
def crash(now):
    if now.stage == "prove":
        os.kill(os.getpid(), signal.SIGKILL)
publish(Path(sys.argv[1]), Path(sys.argv[2]), formats=["gguf-f16"], progress=crash)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, str(scratch_run), str(tmp_path)], check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert list_releases(tmp_path) == []
    (left,) = tmp_path.iterdir()
    assert (left / "model-f16.gguf").is_file() and not (left / "release.json").exists()
    publish(scratch_run, tmp_path, formats=["gguf-f16"])
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]


def test_a_folder_that_is_being_written_is_left_alone(scratch_run: Path, tmp_path: Path) -> None:
    with publishing._unfinished(tmp_path, "other") as other:
        publish(scratch_run, tmp_path, formats=["gguf-f16"])
        assert other.is_dir()
    assert not other.exists()


def test_a_full_disk_is_one_sentence(
    scratch_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(tmp_path)._replace(free=1000)
        patch.setattr(publishing.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(OSError, match="the disk is full, so nothing was published") as found:
            publish(scratch_run, tmp_path)
        assert found.value.errno == errno.ENOSPC

    def full(*_: Any, **__: Any) -> Iterator[Format]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield "safetensors"

    monkeypatch.setattr(publishing, "export", full)
    with pytest.raises(OSError, match="free some space and publish again"):
        publish(scratch_run, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", "smollm2", "x" * 200, "with space"])
def test_names_that_cannot_be_used(name: str, scratch_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a release cannot be called"):
        publish(scratch_run, tmp_path, name=name)


def test_a_name_is_taken_once(scratch_run: Path, tmp_path: Path) -> None:
    publish(scratch_run, tmp_path, formats=["gguf-f16"])
    with pytest.raises(ValueError, match="has a release 'scratch' already"):
        publish(scratch_run, tmp_path)


def test_formats_are_known(scratch_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no format 'onnx'"):
        publish(scratch_run, tmp_path, formats=["onnx"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no adapter to write"):
        publish(scratch_run, tmp_path, formats=["adapter"])


@pytest.fixture
def run_copy(scratch_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scratch_run, tmp_path / "copy"))


def test_a_run_that_was_tampered_with_is_not_published(run_copy: Path, tmp_path: Path) -> None:
    change_weight(run_copy / "weights.safetensors", "embed_tokens.weight")
    with pytest.raises(ValueError, match=r"weights\.safetensors was changed after the run"):
        publish(run_copy, tmp_path / "releases")


def test_a_ledger_that_was_tampered_with_is_not_continued(run_copy: Path, tmp_path: Path) -> None:
    path = run_copy / "ledger.jsonl"
    path.write_text(path.read_text("utf-8").replace('"ranks":1', '"ranks":2'), "utf-8")
    with pytest.raises(ValueError, match="was changed after it was written"):
        publish(run_copy, tmp_path / "releases")


def test_another_tokenizer_is_not_the_runs(run_copy: Path, tmp_path: Path) -> None:
    swap_merges(run_copy)
    with pytest.raises(ValueError, match="is not the tokenizer that the run's plan names"):
        publish(run_copy, tmp_path / "releases")


def test_a_run_without_weights_is_one_sentence(run_copy: Path, tmp_path: Path) -> None:
    (run_copy / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match="this run has left no weights yet"):
        publish(run_copy, tmp_path / "releases")


def test_a_run_that_says_nothing_of_itself_is_published(run_copy: Path, tmp_path: Path) -> None:
    (run_copy / "state.json").unlink()
    (run_copy / "ledger.jsonl").unlink()
    release = publish(run_copy, tmp_path / "releases", formats=["safetensors"])
    assert verify(release.folder / "ledger.jsonl")[0]["kind"] == "release"
    assert not (run_copy / "state.json").exists()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
