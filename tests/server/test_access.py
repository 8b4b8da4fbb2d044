from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Served, asking, error_of

from madang.home import Home
from madang.server import create_app
from madang.server.access import Hosts, is_key, is_same_origin

THIS_MACHINE = "localhost localhost:8080 LOCALHOST localhost.:80 127.0.0.1 127.0.0.1:1 127.8.8.8"


@pytest.mark.parametrize("host", [*THIS_MACHINE.split(), "[::1]", "[::1]:8080"])
def test_this_machine_is_always_meant(host: str) -> None:
    assert Hosts.of("127.0.0.1").allow(host)
    assert Hosts.of("0.0.0.0").allow(host)


ELSEWHERE = """
evil.example localhost.evil.example 127.0.0.1.evil.example 192.168.0.9 evil.example:8080
localhost@evil.example evil.example/localhost localhost:x [::1 ::1 [evil] 0x7f.1 2130706433
"""


@pytest.mark.parametrize("host", [None, "", "localhost, evil", "a b", *ELSEWHERE.split()])
def test_other_names_are_not_this_server(host: str | None) -> None:
    assert not Hosts.of("127.0.0.1").allow(host)


def test_beyond_this_machine_numbers_and_given_names_are_meant_but_no_others() -> None:
    hosts = Hosts.of("0.0.0.0", ("chat.town.example",))
    assert hosts.allow("192.168.0.9:8080")
    assert hosts.allow("[fe80::1]:8080")
    assert hosts.allow("Chat.Town.example")
    assert hosts.allow(socket.gethostname())
    assert not hosts.allow("evil.example")
    assert Hosts.of("town.example").allow("town.example:8080")


@given(st.text(max_size=40))
def test_no_text_as_host_breaks_the_check(host: str) -> None:
    Hosts.of("0.0.0.0").allow(host)
    is_same_origin(host, host)


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8080", "localhost:8080", True),
        ("http://LOCALHOST:8080", "localhost:8080", True),
        ("http://town.example", "town.example", True),
        ("http://town.example", "town.example:80", True),
        ("https://town.example", "town.example", True),
        ("https://town.example", "town.example:443", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://localhost:8081", "localhost:8080", False),
        ("http://localhost", "localhost:8080", False),
        ("http://127.0.0.1:8080", "localhost:8080", False),
        ("null", "localhost:8080", False),
        ("", "localhost:8080", False),
        ("file://", "localhost:8080", False),
        ("chrome-extension://localhost:8080", "localhost:8080", False),
        ("http://evil.example", "localhost:8080", False),
        ("http://localhost:8080.evil.example", "localhost:8080", False),
        ("http://localhost:8080@evil.example", "localhost:8080", False),
        ("http://localhost:8080/x", "localhost:8080", False),
        ("http://localhost:99999999", "localhost:8080", False),
    ],
)
def test_an_origin_is_the_same_or_not(origin: str, host: str, same: bool) -> None:
    assert is_same_origin(origin, host) is same


@given(st.text(), st.text())
def test_only_the_key_is_the_key(given: str, key: str) -> None:
    given, key = (text.encode("utf-8", "ignore").decode() for text in (given, key))
    assert is_key(given, key) is (given == key)
    assert not is_key(None, key)


PATHS = ["/", "/v1/search?q=x", "/healthz", "/metrics", "/static/style.css", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_a_name_that_was_made_to_point_here_is_refused(reading: Served, path: str) -> None:
    response = reading.client.get(path, headers={"host": "evil.example"})
    assert response.status_code == 421
    assert error_of(response)["code"] == "misdirected_request"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/posts"),
        ("DELETE", "/v1/posts/town%3A0001"),
        ("DELETE", "/v1/authors/minseo"),
        ("OPTIONS", "/v1/chat/completions"),
    ],
)
def test_pages_of_other_sites_are_refused_whatever_they_know(
    reading: Served, method: str, path: str, origin: str
) -> None:
    headers = {**reading.admin, "origin": origin}
    response = reading.client.request(method, path, json=asking("hi"), headers=headers)
    assert response.status_code == 403
    assert error_of(response)["code"] == "foreign_origin"
    assert "access-control-allow-origin" not in response.headers


def test_the_page_itself_may_ask(reading: Served) -> None:
    response = reading.client.post(
        "/v1/chat/completions", json=asking("hello"), headers={"origin": reading.url}
    )
    assert response.status_code == 200


def test_two_hosts_or_two_origins_are_refused(reading: Served) -> None:
    name, port = "127.0.0.1", int(reading.url.rpartition(":")[2])
    for extra in (b"Host: evil.example\r\n", b"Origin: http://evil.example\r\n"):
        with socket.create_connection((name, port), timeout=10) as raw:
            raw.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port
                + b"Origin: http://127.0.0.1:%d\r\n" % port
                + extra
                + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
            )
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.split(b" ")[1] in (b"400", b"403", b"421"), answer


ADMIN = [
    ("POST", "/v1/posts", {"text": "hello"}),
    ("DELETE", "/v1/posts/town%3A0001", None),
    ("DELETE", "/v1/authors/minseo", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ADMIN)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Bearer x {key}", "Basic {key}", "{key}"]
)
def test_changing_posts_needs_the_key(
    reading: Served, method: str, path: str, body: object, authorization: str | None
) -> None:
    key = reading.home.folder.admin_key()
    headers = {"authorization": authorization.format(key=key)} if authorization else {}
    response = reading.client.request(method, path, json=body, headers=headers)
    assert response.status_code == 401
    assert error_of(response)["code"] == "invalid_api_key"
    assert key not in response.text
    assert reading.post("town:0001").status_code == 200


def test_the_key_is_for_its_owner_alone(reading: Served) -> None:
    assert reading.home.folder.key.stat().st_mode & 0o077 == 0
    assert len(reading.home.folder.admin_key()) >= 40


def test_any_key_will_do_for_asking_on_this_machine(reading: Served) -> None:
    response = reading.client.post(
        "/v1/chat/completions", json=asking("hello"), headers={"authorization": "Bearer none"}
    )
    assert response.status_code == 200


def test_programs_of_other_machines_need_the_key_to_ask(home: Home) -> None:
    app = create_app(home, host="0.0.0.0")
    key = {"authorization": f"Bearer {home.folder.admin_key()}"}
    page = {"origin": "http://192.168.0.2:8080"}
    foreign = {"origin": "http://evil.example"}

    async def scenario() -> None:
        elsewhere = httpx.ASGITransport(app, client=("192.168.0.7", 5000))
        url = "http://192.168.0.2:8080"
        async with httpx.AsyncClient(transport=elsewhere, base_url=url) as client:

            async def ask(headers: dict[str, str]) -> httpx.Response:
                body = asking("hello")
                return await client.post("/v1/chat/completions", json=body, headers=headers)

            refused = await ask({})
            assert refused.status_code == 401
            assert error_of(refused)["code"] == "invalid_api_key"
            assert (await ask({"authorization": "Bearer none"})).status_code == 401
            assert (await ask(key)).status_code == 200
            assert (await ask(page)).status_code == 200
            assert (await ask(foreign)).status_code == 403
            assert (await client.get("/v1/search?q=ferry")).status_code == 200
            assert (await client.post("/v1/posts", json={"text": "x"})).status_code == 401

    asyncio.run(scenario())


def test_it_listens_on_this_machine_alone(reading: Served) -> None:
    port = int(reading.url.rpartition(":")[2])
    for _, _, _, _, address in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET):
        if not str(address[0]).startswith("127."):
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://{address[0]}:{port}/healthz", timeout=5)
