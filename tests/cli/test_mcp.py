"""`qdrant-rerank mcp`, asked by the official SDK's own client: in process, over standard input and output, and over HTTP."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Formula, Nearest, Strategy, field, save, score
from qdrant_rerank._internals import ToolSpec, pick_filters
from qdrant_rerank.cli._internals import HttpGuard, ServedCollection
from qdrant_rerank.planning import payload_schema
from tests.cli.support import DOCUMENTS, fails, succeeds, write_corpus
from tests.engines import open_client
from tests.hostile_calls import fill_two_tenants, hostile
from tests.support import dense, fill_toy

TOKEN = "a-token-of-twenty-one"
MINE = models.Filter(must=[models.FieldCondition(key="tenant", match=models.MatchValue(value="A"))])


def served(strategy: Strategy | None = None, **settings: Any) -> ServedCollection:
    """Two tenants' documents, of which one's are served."""
    client = open_client()
    fill_two_tenants(
        client,
        lambda tenant, number: {
            "text": f"{tenant}-TEXT quick fox {number}",
            "tenant": tenant,
            "topic": f"{tenant}-topic-{number % 3}",
            "year": number,
        },
    )
    encoders: Any = {"": settings.pop("encoder", dense)}
    executor = Executor(client, "two", encoders=encoders, payload="flat", fixed_filter=MINE)
    schema = payload_schema(client, "two", filter=MINE)
    spec = ToolSpec(pick_filters(["topic", "year"], schema, MINE), **settings)
    return ServedCollection(executor, strategy or Nearest(), {}, None, spec, "The foxes.")


def text(result: Any) -> str:
    [content] = result.content
    said: str = content.text
    return said


async def test_three_tools_that_only_read_are_listed_with_typed_arguments() -> None:
    async with Client(served().server()) as client:
        tools = {each.name: each for each in (await client.list_tools()).tools}
    assert list(tools) == ["search", "explain", "schema"]
    assert tools["search"].description == "The foxes."
    for each in tools.values():
        assert each.annotations is not None
        assert each.annotations.read_only_hint is True
    properties = tools["search"].input_schema["properties"]
    assert properties["topic"]["anyOf"][0]["items"]["enum"] == ["A-topic-0", "A-topic-1", "A-topic-2"]
    assert "about 0 to 39" in properties["min_year"]["description"]
    assert properties["k"]["anyOf"][0]["maximum"] == 10
    assert all((name == "query") != ({"type": "null"} in each.get("anyOf", [])) for name, each in properties.items())
    assert "tenant" not in str([each.input_schema for each in tools.values()])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_search_is_within_the_fixed_filter_and_capped(mode: str) -> None:
    async with Client(served().server(), mode=mode) as client:
        found = await client.call_tool("search", {"query": "quick fox", "k": 1000, "topic": ["A-topic-1"]})
        assert not found.is_error
        assert text(found).startswith("k is 10: it is a whole number from 1 to 10.\n10 documents were found")
        assert "topic='A-topic-1'" in text(found)
        assert "topic='A-topic-2'" not in text(found)
        wrong = await client.call_tool("search", {"query": "quick fox", "topic": ["B-topic-1"]})
        assert not wrong.is_error
        assert "When this tool was made, no document had topic='B-topic-1': did you mean" in text(wrong)


async def test_reasons_and_the_payloads_keys_are_told() -> None:
    collection = served(Formula(score() + 0.1 * field("year", default=0)).over(Nearest(limit=20)))
    async with Client(collection.server()) as client:
        why = text(await client.call_tool("explain", {"query": "quick fox", "k": 2}))
        assert "2 documents were found" in why
        assert "field('year'" in why
        assert max(map(len, re.findall(r"0\.0*([0-9]+)", why))) <= 4
        assert (await client.call_tool("explain", {"query": ""})).is_error
        keys = text(await client.call_tool("schema", {}))
        assert "topic" in keys
        assert "B-topic" not in keys
        assert "tenant" not in keys
    small = served(max_tokens=200)
    async with Client(small.server()) as client:
        assert len(text(await client.call_tool("schema")).encode()) <= 600


async def test_what_is_not_there_and_what_fails_is_told_without_the_error(caplog: pytest.LogCaptureFixture) -> None:
    def broken(text: str) -> list[float]:
        raise RuntimeError("key sk-secret")

    async with Client(served(encoder=broken).server()) as client:
        unknown = await client.call_tool("delete", {})
        assert (unknown.is_error, text(unknown)) == (True, "There is no tool 'delete'. The tools are search, explain, schema.")
        failed = await client.call_tool("search", {"query": "fox"})
        assert failed.is_error
        assert "The search failed" in text(failed)
        assert "sk-secret" not in text(failed)
    assert "sk-secret" in caplog.text


async def test_two_hundred_hostile_calls_raise_nothing_and_find_no_other_tenants_documents() -> None:
    found = 0
    async with Client(served().server()) as client:
        for number in range(200):
            arguments = json.loads(json.dumps(hostile(number), default=str).replace("\\ud800", "?"))
            said = await client.call_tool(("search", "explain")[number % 2], arguments)
            assert len(text(said).encode()) <= 6000
            assert "B-TEXT quick fox 1" not in text(said)
            assert "topic='B" not in text(said)
            found += not said.is_error
    assert found > 10


# As a process of its own

COMMAND = ["-c", "from qdrant_rerank.cli import main; main()", "mcp"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mcp")
    documents = [{**document, "_id": f"{document['_id']}-{n}"} for document in DOCUMENTS for n in range(8)]
    succeeds("index", write_corpus(folder / "corpus.jsonl", documents), "--path", folder / "db", "--dense", "hash")
    (folder / "tenant.json").write_text('{"must": [{"key": "town", "match": {"value": "Orvena"}}]}', "utf-8")
    return folder


async def test_it_speaks_on_standard_input_and_output(many: Path) -> None:
    arguments = [
        *COMMAND,
        "--path",
        str(many / "db"),
        "--filter",
        f"@{many / 'tenant.json'}",
        "--filter-by",
        "rating",
        "-k",
        "3",
    ]
    server = StdioServerParameters(command=sys.executable, args=[*arguments, "--description", "The guide."])
    async with Client(server) as client:
        [search, *_] = (await client.list_tools()).tools
        assert search.description == "The guide."
        assert "min_rating" in search.input_schema["properties"]
        found = text(await client.call_tool("search", {"query": "bikes on the night train", "min_rating": 3}))
        assert "3 documents were found" in found
        assert "Lunasca" not in text(await client.call_tool("schema", {}))


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def listening(many: Path, port: int, token: str | None) -> Generator[str]:
    """The address of a server that may be called by pages of https://app.example."""
    command = [
        sys.executable,
        *COMMAND,
        "--path",
        str(many / "db"),
        "--http",
        str(port),
        "--origin",
        "https://App.example:443/",
    ]
    process = subprocess.Popen(
        command,
        env={**os.environ, "QDRANT_RERANK_MCP_TOKEN": token or ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        ready, *_ = select.select([process.stderr], [], [], 60)
        said = process.stderr.readline() if ready else ""  # which it says once it accepts
        assert f"the tools are at http://127.0.0.1:{port}/mcp" in said
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) == 0
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture
def over_http(many: Path, port: int) -> Iterator[str]:
    """The address of a server with a token."""
    with listening(many, port, TOKEN) as url:
        yield url


def status_of(url: str, headers: dict[str, str]) -> int:
    asked = urllib.request.Request(url, b"{}", {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_it_speaks_http_to_who_has_the_token_and_to_no_strange_page(over_http: str) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    async with (
        httpx2.AsyncClient(headers=bearer) as http,
        Client(streamable_http_client(over_http, http_client=http)) as client,
    ):
        assert "5 documents were found" in text(await client.call_tool("search", {"query": "bikes on the night train"}))
    assert status_of(over_http, {}) == 401
    assert status_of(over_http, {"authorization": "Bearer wrong"}) == 401
    assert status_of(over_http, {"authorization": f"Basic {TOKEN}"}) == 401
    assert status_of(over_http, {"authorization": f"bearer  {TOKEN}"}) == 406  # it is let in, and says what to accept
    assert status_of(over_http, {**bearer, "origin": "https://evil.example"}) == 403
    assert status_of(over_http, {**bearer, "host": "evil.example"}) == 421


GREETING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "page", "version": "1"}},
}


async def call_as_page(http: httpx2.AsyncClient, url: str, origin: str, token: str | None) -> tuple[int, int, str | None]:
    """As a browser calls for a page: it asks first, and shows the page what is allowed. Statuses, and the page's session."""
    asked = {"origin": origin, "access-control-request-method": "POST"}
    named = "authorization,content-type,mcp-protocol-version"
    first = await http.options(url, headers={**asked, "access-control-request-headers": named})
    allowed = first.headers.get("access-control-allow-origin") == origin and "POST" in first.headers.get(
        "access-control-allow-methods", ""
    )
    if first.is_success and allowed:
        assert set(named.split(",")) <= {each.strip() for each in first.headers["access-control-allow-headers"].split(",")}
    headers = {"origin": origin, "accept": "application/json, text/event-stream"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    then = await http.post(url, json=GREETING, headers=headers)
    shown = then.headers.get("access-control-allow-origin")
    assert shown == (origin if allowed else None)
    session = then.headers.get("mcp-session-id")
    if session is not None:
        assert "mcp-session-id" in then.headers["access-control-expose-headers"].lower()
        left = await http.delete(url, headers={**headers, "mcp-session-id": session})
        assert (left.status_code, left.headers["access-control-allow-origin"]) == (200, origin)
    return first.status_code, then.status_code, session


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_a_page_of_an_origin_that_may_call_or_of_this_machine_is_answered(
    many: Path, port: int, token: str | None
) -> None:
    with listening(many, port, token) as url:
        async with httpx2.AsyncClient() as http:
            for origin in (
                "https://app.example",
                "http://127.0.0.1:8735",
                "http://localhost",
                "https://localhost",
                "https://[::1]:3",
            ):
                asked, called, session = await call_as_page(http, url, origin, token)
                assert (origin, asked, called, session is not None) == (origin, 200, 200, True)
            for origin in ("https://evil.example", "https://app.example.evil", "http://app.example", "null"):
                assert await call_as_page(http, url, origin, token) == (400, 403, None)
            if token is not None:  # the page sees that its token is wrong
                assert await call_as_page(http, url, "https://app.example", "wrong") == (200, 401, None)


@pytest.mark.parametrize("origin", ["*", "app.example", "https://app.example/page", "https://*.example", "null"])
def test_what_is_no_origin_is_refused_before_it_serves(many: Path, origin: str) -> None:
    said = " ".join(fails("mcp", "--path", many / "db", "--http", 8000, "--origin", origin).split())
    assert f"--origin {origin}: an origin is a scheme and a host" in said


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("", True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1", True),
        ("https://localhost", True),
        ("http://[::1]:80", True),
        ("https://app.example", True),
        ("https://app.example.evil", False),
        ("https://localhost.evil", False),
        ("null", False),
        ("file://localhost", False),
    ],
)
def test_pages_of_this_machine_and_those_that_are_named_may_call(origin: str, passes: bool) -> None:
    headers = {b"origin": origin.encode()} if origin else {}
    assert (HttpGuard(origins=("https://app.example",)).refusal(headers) is None) == passes


def test_others_than_this_machine_need_a_token(many: Path) -> None:
    place = ("mcp", "--path", many / "db")
    said = fails(*place, "--http", 8000, "--host", "0.0.0.0")
    assert "--host 0.0.0.0 lets other machines in: set a token" in said.replace("\n", " ")
    assert "at least 16 characters" in fails(*place, "--http", 8000, env={"QDRANT_RERANK_MCP_TOKEN": "short"})
    assert "--host and --origin are for --http PORT" in fails(*place, "--host", "0.0.0.0")
    assert "--host and --origin are for --http PORT" in fails(*place, "--origin", "https://app.example")


def test_keys_that_cant_be_filtered_by_are_told_before_it_serves(many: Path) -> None:
    place = ("mcp", "--path", many / "db")
    twon = " ".join(fails(*place, "--filter-by", "twon").split())
    assert "has 'twon': did you mean 'town'? For a rare key give its type: --filter-by twon:keyword" in twon
    assert "there is no type 'flaot': did you mean 'float'?" in fails(*place, "--filter-by", "town,rating:flaot")
    mine = ("--filter", f"@{many / 'tenant.json'}")
    named = " ".join(fails(*place, *mine, "--filter-by", "town").split())
    assert "'town' is in --filter, which a model must not name: leave it out of --filter-by" in named


@pytest.mark.parametrize(
    ("filter", "said"),
    [
        ('{"must": [{"key": "twon", "match": {"value": "Orvena"}}]}', "has 'twon'; did you mean 'town'? --filter lets none"),
        ('{"must": [{"key": "rating", "range": {"gte": "2020-01-01T00:00:00Z"}}]}', "--filter reads a date-time there"),
        ("{}", "--filter has no condition, so that it keeps nothing out"),
        ('{"must": []}', "--filter has no condition, so that it keeps nothing out"),
        ('{"must": [{"key": "town"}]}', "the condition on 'town' asks nothing of it"),
    ],
)
def test_a_filter_that_keeps_nothing_or_all_out_is_refused_before_it_serves(many: Path, filter: str, said: str) -> None:
    assert said in " ".join(fails("mcp", "--path", many / "db", "--filter", filter).split())


def test_a_key_is_looked_for_beyond_the_filter_where_that_leaves_too_few(many: Path) -> None:
    few = ("mcp", "--path", many / "db", "--filter", '{"must": [{"key": "town", "match": {"value": "Atlantis"}}]}')
    said = " ".join(fails(*few, "--filter-by", "raitng").split())
    assert "has 'raitng': did you mean 'rating'? For a rare key give its type: --filter-by raitng:keyword" in said
    assert "hold float values there, which such a filter never finds: leave the type to the look-up, --filter-by rating" in (
        " ".join(fails(*few, "--filter-by", "rating:keyword").split())
    )


async def test_a_key_may_be_given_its_type(many: Path) -> None:
    arguments = [*COMMAND, "--path", str(many / "db"), "--filter-by", "town,rare:integer,dc:title:keyword,seen:datetime"]
    async with Client(StdioServerParameters(command=sys.executable, args=arguments)) as client:
        [search, *_] = (await client.list_tools()).tools
    properties = search.input_schema["properties"]
    assert list(properties) == ["query", "k", "town", "min_rare", "max_rare", "title", "min_seen", "max_seen"]
    assert set(properties["town"]["anyOf"][0]["items"]["enum"]) == {"Lunasca", "Montefosco", "Orvena"}


async def test_a_client_may_ask_for_as_many_results_as_the_strategy_can_give(many: Path, tmp_path: Path) -> None:
    save(Formula(score()).over(Nearest("dense", limit=5)), tmp_path / "few.json")
    arguments = [*COMMAND, "--path", str(many / "db"), "--strategy", str(tmp_path / "few.json"), "-k", "3", "--max-k", "10"]
    async with Client(StdioServerParameters(command=sys.executable, args=arguments)) as client:
        [search, *_] = (await client.list_tools()).tools
        assert search.input_schema["properties"]["k"]["anyOf"][0]["maximum"] == 5
        assert "5 documents were found" in text(await client.call_tool("search", {"query": "night train", "k": 9}))


def test_a_model_of_another_size_than_the_vectors_is_refused_before_it_serves(tmp_path: Path) -> None:
    client = QdrantClient(path=str(tmp_path / "db"))
    fill_toy(client)
    client.close()
    said = " ".join(fails("mcp", "--path", tmp_path / "db", "--dense", "hash").split())
    assert said.startswith("error: --dense hash doesn't fit the collection: the vector 'dense' has 4 dimensions")
    assert said.endswith("is this the embedding model that the collection was filled with?")
