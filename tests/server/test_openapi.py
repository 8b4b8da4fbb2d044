"""/openapi.json describes what the server really does."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from serving import ANSWERABLE, Served

from madang.server import schemas
from madang.server.chat_request import ChatCompletionRequest
from madang.server.parameters import WITHOUT_EFFECT


@pytest.fixture(scope="module")
def described(reading: Served) -> dict[str, Any]:
    return reading.client.get("/openapi.json").json()


def test_every_route_is_described(described: dict[str, Any]) -> None:
    operations = {
        (method, path) for path, methods in described["paths"].items() for method in methods
    }
    assert operations == {
        ("post", "/v1/chat/completions"),
        ("get", "/v1/models"),
        ("get", "/v1/models/{id}"),
        ("get", "/v1/learning"),
        ("get", "/v1/runs"),
        ("get", "/v1/runs/{name}"),
        ("get", "/v1/search"),
        ("get", "/v1/posts/{id}"),
        ("post", "/v1/posts"),
        ("delete", "/v1/posts/{id}"),
        ("delete", "/v1/authors/{id}"),
        ("get", "/healthz"),
        ("get", "/metrics"),
        ("get", "/page/info"),
    }


def test_every_response_has_a_shape_and_every_failure_the_one(described: dict[str, Any]) -> None:
    ids = []
    for path, methods in described["paths"].items():
        for operation in methods.values():
            ids.append(operation["operationId"])
            assert operation["summary"] and operation["description"]
            responses = operation["responses"]
            assert "422" not in responses
            for status, response in responses.items():
                for content in response["content"].values():
                    assert content["schema"], (path, status)
            if path != "/healthz":
                for status in ("4XX", "5XX"):
                    schema = responses[status]["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}
    assert len(set(ids)) == len(ids)


def test_references_lead_somewhere(described: dict[str, Any]) -> None:
    schemas_there = described["components"]["schemas"]

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [one for value in node.values() for one in references(value)]
        return (
            [one for value in node for one in references(value)] if isinstance(node, list) else []
        )

    assert {one.rpartition("/")[2] for one in references(described)} <= set(schemas_there)


def test_every_parameter_is_described(described: dict[str, Any]) -> None:
    properties = described["components"]["schemas"]["ChatCompletionRequest"]["properties"]
    assert set(properties) == set(ChatCompletionRequest.model_fields) | set(WITHOUT_EFFECT)
    assert all(one.get("description") for one in properties.values())


def test_what_needs_the_key_says_so(described: dict[str, Any]) -> None:
    (name,) = described["components"]["securitySchemes"]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            needs = method == "delete" or (method, path) == ("post", "/v1/posts")
            assert (operation.get("security") == [{name: []}]) is needs, (method, path)


RESPONSES: list[tuple[str, str, type[BaseModel]]] = [
    ("GET", "/v1/models", schemas.ModelList),
    ("GET", "/v1/models/madang", schemas.ModelCard),
    ("GET", "/v1/search?q=ferry", schemas.SearchResponse),
    ("GET", "/v1/posts/town%3A0003", schemas.PostWithThread),
    ("GET", "/healthz", schemas.Health),
    ("GET", "/page/info", schemas.PageInfo),
    ("GET", "/nowhere", schemas.Error),
    ("POST", "/v1/posts", schemas.Error),
]


@pytest.mark.parametrize(("method", "path", "shape"), RESPONSES)
def test_responses_have_the_shape_that_is_described(
    reading: Served, method: str, path: str, shape: type[BaseModel]
) -> None:
    shape.model_validate_json(reading.client.request(method, path).content)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_answers_have_the_shape_that_is_described(reading: Served, lang: str) -> None:
    schemas.ChatCompletion.model_validate_json(reading.ask(ANSWERABLE[lang][0]).content)


def test_changes_have_the_shape_that_is_described(served: Served) -> None:
    for _ in range(2):
        response = served.client.post(
            "/v1/posts", json={"id": "local:1", "text": "x"}, headers=served.admin
        )
        schemas.Changed.model_validate_json(response.content)
    response = served.client.delete("/v1/posts/local%3A1", headers=served.admin)
    schemas.Changed.model_validate_json(response.content)


def test_there_is_no_page_that_loads_from_elsewhere(reading: Served) -> None:
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert reading.client.get(path).status_code == 404
