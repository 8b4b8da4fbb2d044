"""Whatever goes wrong, a client gets the one shape of error."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Served, asking, error_of

from madang.server.errors import ApiError


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/posts", 405),
        ("GET", "/v1/posts/", 404),
        ("GET", "/v1/posts/x%3A404", 404),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/posts/x", 405),
        ("POST", "/", 405),
        ("POST", "/v1/completions", 404),
        ("POST", "/v1/embeddings", 404),
        ("PATCH", "/healthz", 405),
        ("GET", "/v1/search?limit=many", 400),
        ("GET", "/v1/search?query=x", 400),
        ("GET", "/v1/search?since=yesterday", 400),
        ("GET", "/v1/search?order=oldest", 400),
        ("GET", "/static/", 404),
        ("GET", "/static/nothing.js", 404),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("GET", "/%00", 404),
        ("GET", "/%ff%fe", 404),
    ],
)
def test_every_refusal_has_the_one_shape(
    reading: Served, method: str, path: str, status: int
) -> None:
    response = reading.client.request(method, path)
    assert response.status_code == status, response.text
    error = error_of(response)
    assert error["type"] == "invalid_request_error"
    assert isinstance(error["code"], str)
    if status == 405:
        assert response.headers["allow"]
    if status == 400:
        assert error["param"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"model": "madang"}',
        b"[" * 100_000,
        b'{"a":' * 5000,
        b'{"model": "madang", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "\\ud800", "messages": [{"role": "user", "content": "x"}]}',
        b'{"\\ud800": 1, "model": "madang", "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "madang", "temperature": NaN, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "madang", "seed": 1e999, "messages": [{"role": "user", "content": "x"}]}',
    ],
)
def test_a_broken_body_is_the_clients_mistake(reading: Served, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = reading.client.post("/v1/chat/completions", content=body, headers=headers)
    assert response.status_code in (400, 404), response.text
    error_of(response)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/posts"])
def test_a_body_that_is_not_called_json_is_told_to_be(
    reading: Served, path: str, kind: str | None
) -> None:
    headers = {**reading.admin, **({"content-type": kind} if kind else {})}
    response = reading.client.post(path, content=json.dumps(asking("x")), headers=headers)
    assert response.status_code == 400
    assert "application/json" in error_of(response)["message"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(reading: Served) -> None:
    large = json.dumps(asking("x" * (1 << 20))).encode()
    for path in ("/v1/chat/completions", "/v1/posts"):
        response = reading.client.post(path, content=large, headers=reading.admin)
        assert response.status_code == 413
        assert error_of(response)["code"] == "request_too_large"


def test_a_body_that_hides_its_size_is_cut_off(reading: Served) -> None:
    address = ("127.0.0.1", int(reading.url.rpartition(":")[2]))
    sent = 0
    with socket.create_connection(address, timeout=10) as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        try:
            while sent < 64 << 20:
                raw.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
        except OSError:
            pass
    assert sent < 32 << 20
    assert reading.client.get("/healthz").status_code == 200


def test_a_fault_of_ours_is_a_500_that_tells_nothing(served: Served) -> None:
    """The log's file is taken away under a server that runs: nobody's doing but a fault."""
    path: Path = served.home.folder.posts
    for file in [path, *path.parent.glob(f"{path.name}-*")]:
        file.unlink()
    path.mkdir()
    answers: list[httpx.Response] = [
        served.client.get("/v1/posts/town%3A0001"),
        served.client.get("/v1/posts/town%3A0002"),
        served.client.post("/v1/posts", json={"text": "x"}, headers=served.admin),
    ]
    failed = [one for one in answers if one.status_code == 500]
    for response in failed:
        assert error_of(response)["code"] == "internal_error"
        assert str(path) not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
    assert served.client.get("/healthz").status_code == 200
    path.rmdir()


@given(st.text(), st.none() | st.text())
def test_any_words_can_be_sent_as_an_error(message: str, param: str | None) -> None:
    response = ApiError(400, message, code="x", param=param).response()
    body = json.loads(bytes(response.body))
    assert set(body["error"]) == {"message", "type", "param", "code"}
