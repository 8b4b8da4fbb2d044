"""The command line as people and programs meet it: its own process, its own streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "town" / "posts.jsonl"


def madang(home: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "madang.cli", *words],
        input=typed,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "MADANG_HOME": str(home), "NO_COLOR": "1"},
    )


def json_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    data: dict[str, Any] = json.loads(line)
    return data


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("한 마당")
    assert madang(folder, "ingest", str(SAMPLE)).returncode == 0
    return folder


def fails(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr and done.stdout == ""
    return done.stderr


def test_ingest_counts_every_row(tmp_path: Path) -> None:
    report = json_of(madang(tmp_path, "ingest", str(SAMPLE), "--json"))
    assert list(report) == [
        "read",
        "written",
        "edited",
        "deleted",
        "unchanged",
        "skipped",
        "rejects",
        "seconds",
        "warning",
    ]
    whole = sum(report[name] for name in ("written", "edited", "deleted", "unchanged"))
    assert report["read"] == whole + sum(report["skipped"].values()) == 447
    again = json_of(madang(tmp_path, "ingest", str(SAMPLE), "--json"))
    assert (again["written"], again["edited"], again["deleted"]) == (0, 0, 0)


def test_a_csv_comes_in_by_its_column_map(tmp_path: Path) -> None:
    table = tmp_path / "reviews.csv"
    table.write_text("review_id,review\n7,배가 좋아요\n5.70306E+17,broken id\n", "utf-8")
    words = ("--map", "text=review,id=review_id", "--source", "shop", "--json")
    report = json_of(madang(tmp_path / "home", "ingest", str(table), *words))
    assert report["written"] == 1 and report["skipped"] == {"invalid_id": 1}
    rejects = Path(report["rejects"]).read_text("utf-8")
    assert json.loads(rejects)["row"] == 2
    hits = json_of(madang(tmp_path / "home", "search", "배가", "--json"))["hits"]
    assert [hit["id"] for hit in hits] == ["shop:7"]


@pytest.mark.parametrize(("query", "word"), [("여객선", "여객선"), ("ferry", "ferry")])
def test_search_gives_the_fixed_fields_and_true_offsets(home: Path, query: str, word: str) -> None:
    result = json_of(madang(home, "search", query, "--limit", "3", "--json"))
    assert list(result) == ["took_ms", "hits"] and len(result["hits"]) == 3
    for hit in result["hits"]:
        assert list(hit) == ["id", "author", "created_at", "text", "score", "highlights", "url"]
        spans = [hit["text"][start:end].casefold() for start, end in hit["highlights"]]
        assert any(word in span for span in spans)


def test_search_filters_and_orders(home: Path) -> None:
    words = ("--author", "gaon_ferry", "--since", "2026-09-01", "--newest", "--json")
    hits = json_of(madang(home, "search", "첫 배", *words))["hits"]
    times = [hit["created_at"] for hit in hits]
    assert hits and times == sorted(times, reverse=True) and min(times) >= "2026-09-01"
    assert {hit["author"] for hit in hits} == {"gaon_ferry"}
    same = json_of(madang(home, "search", "첫 배 from:gaon_ferry since:2026-09-01", "--json"))
    assert {hit["id"] for hit in same["hits"]} == {hit["id"] for hit in hits}


def test_ask_gives_the_fixed_fields_and_quotes_that_stand_in_their_posts(home: Path) -> None:
    answer = json_of(madang(home, "ask", "달섬 가는 첫 배는 지금 몇 시예요?", "--json"))
    assert list(answer) == [
        "answer",
        "route",
        "abstained",
        "sentences",
        "evidence",
        "as_of",
        "engine",
        "took_ms",
    ]
    assert list(answer["took_ms"]) == ["search", "extract", "draft", "check", "total"]
    assert answer["route"] == "posts" and not answer["abstained"]
    texts = _texts()
    for sentence in answer["sentences"]:
        assert list(sentence) == ["text", "kind", "citations"]
        assert sentence["kind"] == "own" or sentence["citations"]
        for citation in sentence["citations"]:
            assert citation["post"] in answer["evidence"]
            quote = texts[citation["post"]][citation["start"] : citation["end"]]
            assert quote == citation["quote"]
    assert "07:40" in answer["answer"]


def _texts() -> dict[str, str]:
    rows = map(json.loads, SAMPLE.read_text("utf-8").splitlines())
    return {row["id"]: row["text"] for row in rows if "text" in row}


def test_only_restricts_what_may_be_cited(home: Path) -> None:
    question = "How much is it to bring a bike on the ferry?"
    answer = json_of(madang(home, "ask", question, "--only", "town:0002", "--json"))
    assert set(answer["evidence"]) <= {"town:0002"}
    cited = {c["post"] for sentence in answer["sentences"] for c in sentence["citations"]}
    assert cited <= {"town:0002"}


def test_batches_answer_line_by_line_and_survive_a_bad_line(home: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        '{"id": "a", "question": "When does the library open?"}\n'
        "not json\n"
        '{"id": "c", "question": "도서관 언제 열어요?", "only": []}\n'
        '{"id": "d"}\n',
        "utf-8",
    )
    out = tmp_path / "results.jsonl"
    summary = json_of(madang(home, "ask", "--batch", str(questions), "--out", str(out), "--json"))
    assert (summary["lines"], summary["failed"]) == (4, 2)
    results = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [one["id"] for one in results] == ["a", 2, "c", "d"]
    assert "answer" in results[0] and results[2]["abstained"] is True
    assert "line 2" in results[1]["error"] and "question is missing" in results[3]["error"]


def test_a_batch_of_searches_takes_filters(home: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text(
        '{"id": 1, "query": "ferry", "lang": "en", "limit": 2}\n'
        '{"id": 2, "query": "ferry", "since": "not a date"}\n',
        "utf-8",
    )
    out = tmp_path / "results.jsonl"
    madang(home, "search", "--batch", str(queries), "--out", str(out))
    first, second = map(json.loads, out.read_text("utf-8").splitlines())
    assert list(first) == ["id", "took_ms", "hits"] and len(first["hits"]) == 2
    assert "is no date" in second["error"]


def test_forgetting_is_for_good(tmp_path: Path) -> None:
    madang(tmp_path, "ingest", str(SAMPLE))
    assert json_of(madang(tmp_path, "forget", "town:0002", "--json"))["outcome"] == "deleted"
    hits = json_of(madang(tmp_path, "search", "bicycles 1,000 won extra", "--json"))["hits"]
    assert "town:0002" not in {hit["id"] for hit in hits}
    again = json_of(madang(tmp_path, "ingest", str(SAMPLE), "--json"))
    assert again["skipped"]["erased"] == 6
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Bicycles are 1,000 won extra" not in files


def test_an_author_is_forgotten_by_name(tmp_path: Path) -> None:
    madang(tmp_path, "ingest", str(SAMPLE))
    assert "erased" in madang(tmp_path, "forget", "--author", "gaon_ferry").stderr
    assert json_of(madang(tmp_path, "search", "from:gaon_ferry", "--json"))["hits"] == []
    assert "no post here is by 'nobody'" in fails(madang(tmp_path, "forget", "--author", "nobody"))


def test_consent_is_explained_refused_and_allowed(tmp_path: Path) -> None:
    madang(tmp_path, "ingest", str(SAMPLE))
    before = json_of(madang(tmp_path, "consent", "explain", "town:0002", "--json"))["purposes"]
    assert before["ground"]["allowed"] and not before["train"]["allowed"]
    madang(tmp_path, "consent", "refuse", "gaon_ferry", "ground,search")
    after = json_of(madang(tmp_path, "consent", "explain", "town:0002", "--json"))["purposes"]
    assert after["ground"] == {"allowed": False, "because": "the author refused"}
    assert json_of(madang(tmp_path, "search", "from:gaon_ferry", "--json"))["hits"] == []
    madang(tmp_path, "consent", "allow", "gaon_ferry", "ground,search")
    assert json_of(madang(tmp_path, "search", "from:gaon_ferry", "--json"))["hits"]
    assert "no post town:x" in fails(madang(tmp_path, "consent", "explain", "town:x"))
    assert "'fun' is not a purpose" in fails(madang(tmp_path, "consent", "refuse", "a", "fun"))


def test_the_key_of_a_model_server_comes_from_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    class Deaf(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization", ""))
            self.send_error(401)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Deaf) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MADANG_MODEL_KEY", "sesame-7301")
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        done = madang(home, "ask", "When does the library open?", "--model", url)
        server.shutdown()
    assert "Bearer sesame-7301" in heard
    assert done.returncode == 0 and "sesame" not in done.stdout + done.stderr


def test_the_brake_holds_for_every_process_until_it_is_released(home: Path) -> None:
    assert madang(home, "stop").returncode == 0
    try:
        assert "madang start" in fails(madang(home, "ask", "첫 배 몇 시?"))
        assert json_of(madang(home, "search", "ferry", "--json"))["hits"], "searching goes on"
    finally:
        assert madang(home, "start").returncode == 0
    assert madang(home, "ask", "첫 배 몇 시?").returncode == 0


def test_rebuilding_finds_the_same_posts(home: Path) -> None:
    before = json_of(madang(home, "search", "달섬 배", "--json"))["hits"]
    assert json_of(madang(home, "rebuild", "--json"))["posts"] == 432
    assert json_of(madang(home, "search", "달섬 배", "--json"))["hits"] == before


def test_chat_answers_in_turns_and_says_that_an_ai_does(home: Path) -> None:
    done = madang(home, "chat", typed="달섬 가는 첫 배는 몇 시예요?\n\n")
    assert done.returncode == 0 and "AI" in done.stderr
    assert "07:40" in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("ingest", "nowhere.jsonl"), "nowhere.jsonl"),
        (("ingest", str(SAMPLE), "--grant", "train"), "needs its basis"),
        (("ingest", str(SAMPLE), "--grant", "fun", "--basis", "x"), "'fun' is not a purpose"),
        (("ingest", str(SAMPLE), "--map", "text"), "field=column"),
        (("search",), "what to search for"),
        (("search", "since:whenever"), "is no date"),
        (("ask", "--batch", "nowhere.jsonl", "--out", "x"), "nowhere.jsonl"),
        (("forget",), "one post, or one author"),
        (("ask", "hello", "--model", "nowhere.gguf"), "nowhere.gguf"),
        (("fly",), "fly"),
    ],
)
def test_mistakes_get_one_clear_sentence(home: Path, words: tuple[str, ...], sentence: str) -> None:
    done = madang(home, *words)
    if "--model" in words:
        assert sentence in done.stderr and "Traceback" not in done.stderr
    else:
        assert sentence in fails(done)


def test_a_damaged_home_is_refused_and_left_alone(tmp_path: Path) -> None:
    madang(tmp_path, "ingest", str(SAMPLE))
    path = tmp_path / "posts.db"
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = b"\x00" * (
        len(content) // 2 - len(content) // 3
    )
    path.write_bytes(content)
    for words in (("search", "ferry"), ("ingest", str(SAMPLE)), ("ask", "ferry?")):
        assert "is damaged" in fails(madang(tmp_path, *words))
        assert path.read_bytes() == bytes(content)


def test_a_reader_that_leaves_early_is_no_error(home: Path) -> None:
    command = f"{sys.executable} -m madang.cli search ferry --limit 100 | head -1"
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "MADANG_HOME": str(home)},
    )
    assert "Traceback" not in done.stderr and "Error" not in done.stderr


def test_no_progress_bar_reaches_a_file(tmp_path: Path) -> None:
    done = madang(tmp_path, "ingest", str(SAMPLE))
    assert done.stdout == ""
    assert done.stderr.startswith("posts.jsonl: 447 read, 437 new") and "\x1b" not in done.stderr
