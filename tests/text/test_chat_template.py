from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="needs the extra `train`")

from madang.text.chat_template import CHAT_TEMPLATE, encode_chat, render
from madang.text.hard_texts import HARD_TEXTS
from madang.text.tokenizer import SPECIAL_TOKENS, Tokenizer, train_tokenizer

TOKENIZER = train_tokenizer([*HARD_TEXTS, *HARD_TEXTS], 800)
CONTENT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(
        ["\n", " \n a", "\n\n\nb\n", "{{ 1 }}", "{% endfor %}", "\ue000", "\ue000\ue001"]
    ),
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": CONTENT}
)
CHAT = st.lists(MESSAGE, min_size=1, max_size=5)
NAMES = st.sampled_from([*SPECIAL_TOKENS, "<|im_start|>assistant\n", "<|im_end|>\n"])


def learnable(chat: list[dict[str, str]]) -> bool:
    answers = [one["content"] for one in chat if one["role"] == "assistant"]
    return bool(answers) and all(answer.strip() for answer in answers)


def test_the_template_is_chatml() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "안녕?\n"},
        {"role": "assistant", "content": " Hello."},
    ]
    assert render(messages) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n안녕?\n<|im_end|>\n"
        "<|im_start|>assistant\n Hello.<|im_end|>\n"
    )
    assert render(messages[:2], add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n안녕?\n<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert render([]) == ""


def test_the_package_carries_the_file() -> None:
    assert resources.files("madang.text").joinpath("chat_template.jinja").is_file()
    # llama.cpp knows no such tag.
    assert "generation %" not in CHAT_TEMPLATE


@given(CHAT)
def test_a_prefix_of_a_chat_is_a_prefix_of_its_string(chat: list[dict[str, str]]) -> None:
    whole = render(chat)
    for count in range(len(chat) + 1):
        assert whole.startswith(render(chat[:count]))
        if count < len(chat) and chat[count]["role"] == "assistant":
            prompt = render(chat[:count], add_generation_prompt=True)
            assert whole.startswith(prompt + chat[count]["content"] + "<|im_end|>")


@given(CHAT.filter(learnable))
def test_the_ids_spell_the_string_and_the_answers_are_trained(chat: list[dict[str, str]]) -> None:
    encoded = encode_chat(TOKENIZER, chat)
    assert len(encoded.ids) == len(encoded.trained)
    assert TOKENIZER.bytes_of(encoded.ids).decode() == render(chat)
    spans: list[bytes] = []
    open_span = False
    for number, trained in zip(encoded.ids, encoded.trained, strict=True):
        if trained and not open_span:
            spans.append(b"")
        if trained:
            spans[-1] += TOKENIZER.bytes_of([number])
        open_span = trained
    answers = [one["content"] for one in chat if one["role"] == "assistant"]
    assert len(spans) == len(answers)
    for span, answer in zip(spans, answers, strict=True):
        # A line end that the answer begins with may be one token with that of the prompt; the
        # prompt's own token then stands in its place and is not learnt.
        spelt = span.decode().removesuffix("<|im_end|>")
        assert answer.endswith(spelt)
        assert not answer.removesuffix(spelt).strip()
        assert span.endswith(b"<|im_end|>")


@given(CHAT.filter(learnable), st.data())
def test_names_of_special_tokens_in_a_content_are_text(
    chat: list[dict[str, str]], data: st.DataObject
) -> None:
    for message in chat:
        message["content"] += data.draw(NAMES)
    encoded = encode_chat(TOKENIZER, chat)
    special = [number for number in encoded.ids if number in TOKENIZER.special.values()]
    start, end = TOKENIZER.special["<|im_start|>"], TOKENIZER.special["<|im_end|>"]
    assert special == [start, end] * len(chat)
    assert TOKENIZER.bytes_of(encoded.ids).decode() == render(chat)
    answers = sum(one["role"] == "assistant" for one in chat)
    trained = [n for n, t in zip(encoded.ids, encoded.trained, strict=True) if t]
    assert trained.count(end) == answers


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> object:
    transformers = pytest.importorskip("transformers", reason="needs the extra `train`")
    folder = tmp_path_factory.mktemp("tokenizer")
    TOKENIZER.save(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    return transformers.AutoTokenizer.from_pretrained(folder)


def without_names(chat: list[dict[str, str]]) -> bool:
    """transformers takes the name of a special token in a content for the token."""
    return not any(name in one["content"] for one in chat for name in SPECIAL_TOKENS)


@given(chat=CHAT.filter(learnable).filter(without_names))
def test_the_ids_are_those_of_transformers(hugging_face, chat: list[dict[str, str]]) -> None:  # type: ignore[no-untyped-def]
    assert hugging_face.apply_chat_template(chat, tokenize=False) == render(chat)
    ids = hugging_face.apply_chat_template(chat, return_dict=True)["input_ids"]
    assert ids == encode_chat(TOKENIZER, chat).ids


def test_transformers_reads_hard_texts_alike(hugging_face) -> None:  # type: ignore[no-untyped-def]
    for text in HARD_TEXTS:
        ids = hugging_face(text, split_special_tokens=True)["input_ids"]
        assert ids == TOKENIZER.encode(text)
        assert hugging_face.decode(ids) == text
    assert hugging_face.eos_token == "<|im_end|>"
    assert hugging_face.pad_token == "<|pad|>"
    assert len(hugging_face) == TOKENIZER.vocabulary_size


@pytest.mark.parametrize(
    ("chat", "what"),
    [
        ([], "no assistant message"),
        ([{"role": "user", "content": "?"}], "no assistant message"),
        (
            [{"role": "user", "content": "?"}, {"role": "assistant", "content": " "}],
            "2,.* is empty",
        ),
        ([{"role": "robot", "content": "?"}], "message 1 has the role 'robot'"),
        ([{"role": "assistant"}], "message 1 has no text in its content"),
        ([{"role": "assistant", "content": ["a"]}], "message 1 has no text in its content"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_sentence(chat: list[dict[str, str]], what: str) -> None:
    with pytest.raises(ValueError, match=what) as error:
        encode_chat(TOKENIZER, chat)
    assert "\n" not in str(error.value)


def test_a_turn_that_nothing_ends_is_an_error() -> None:
    document = json.loads(TOKENIZER.to_json())
    document["added_tokens"] = [
        token for token in document["added_tokens"] if token["content"] != "<|im_end|>"
    ]
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    with pytest.raises(ValueError, match="message 2, the assistant's, has no token that ends"):
        encode_chat(Tokenizer(document), chat)


def test_the_template_needs_nothing_that_is_not_there(tmp_path: Path) -> None:
    """The text room's core neither imports the tokenizer nor the template engine."""
    import subprocess
    import sys

    code = "import madang.text, sys; print({'jinja2', 'tokenizers', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
