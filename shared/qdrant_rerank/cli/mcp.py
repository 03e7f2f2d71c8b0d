"""`qdrant-rerank mcp`: a collection as tools for agents over the Model Context Protocol, on the official SDK.

Three tools that only read: search, explain, schema. What they take is typed and capped by `agent_tools`; the filter of the
command line holds in all of them, and no argument changes it. Nothing that a client sends raises, and no error is shown to it.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Final, TypeAlias, cast

from .. import Executor, Query, SearchOptions, Strategy, StrategyError, __version__
from .._internals import (
    BYTES_OF_A_TOKEN,
    USABLE,
    FilterArgument,
    ToolHit,
    ToolSpec,
    ask_filters,
    cap_k,
    did_you_mean,
    filter_keys,
    in_worker,
    load_extra,
    pick_threshold,
    restricts,
    value_at,
)
from ..planning import PayloadType, payload_schema
from .connect import WhereToSearch, connect
from .models import QueryModels, Reranking, open_reranker
from .options import ResultOptions, command, option, parse_params, split_list, without
from .output import CommandError, errors_console
from .results import TEXT_KEYS
from .strategies import PARAMS, Choice, make_plan, refuse_unread_params

_TOKEN: Final = "QDRANT_RERANK_MCP_TOKEN"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_THIS_MACHINE: Final = tuple(f"[{each}]" if ":" in each else each for each in _LOOPBACK)  # as in addresses
_PAGE_HERE: Final = rf"https?://(?:{'|'.join(map(re.escape, _THIS_MACHINE))})(?::\d+)?"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#*,@]+")
_LOG: Final = logging.getLogger(__name__)

App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Tools:
    """What a model reads of the tools, and how much it may ask for and get."""

    panel: ClassVar = "The tools"

    description: str = option(
        "--description TEXT", "What the model reads about this collection.", "Search the documents of the collection."
    )
    filter_by: str | None = option(
        "--filter-by KEYS",
        "Payload keys that the model may filter by, with commas between: category,metadata.year. A sample of the payload tells "
        f"their types; for a rare key, or an empty collection, give the type: rating:float. Types are {', '.join(USABLE)}.",
    )
    max_k: int = option("--max-k N", "The most results of a call.", 10)
    max_tokens: int = option("--max-tokens N", "How long an answer may be, estimated as three bytes a token.", 2000)
    text_key: str = option("--text-key KEYS", "Payload keys with the text; the first that a result has.", TEXT_KEYS)


@dataclass(frozen=True)
class Listen:
    """Where clients come in."""

    panel: ClassVar = "Where clients come in"

    http: int | None = option(
        "--http PORT",
        "Speak streamable HTTP at this port, under /mcp, instead of standard input and output.",
        shows="standard input and output",
        min=1,
        max=65535,
    )
    host: str = option(
        "--host HOST",
        f"The address that --http listens at. Another than this machine's needs a token, from the environment's {_TOKEN}, that "
        "clients send as `Authorization: Bearer …`.",
        "127.0.0.1",
    )
    origin: str | None = option(
        "--origin URLS", "Web pages that may call it, with commas between, besides those of this machine: https://app.example."
    )


@command
def run_mcp(
    *,
    where: WhereToSearch,
    choice: Choice,
    params: str | None = PARAMS,
    selection: Annotated[ResultOptions, without("score_threshold", "group_by")],
    tools: Tools,
    listen: Listen,
    reranking: Reranking,
    models: QueryModels,
) -> None:
    """Serve a collection to agents as tools: search, explain, schema, over the Model Context Protocol.

    The tools only read. --filter is the place for a tenant: it holds in every call, and no client sees or changes it. Needs
    the extra mcp. As a client's configuration has it, on standard input and output:

    $ qdrant-rerank mcp --edge ./db --strategy strategy.json --filter-by town,rating --description "The travel guide."

    Over streamable HTTP, at http://127.0.0.1:8000/mcp:

    $ qdrant-rerank mcp --url http://localhost:6333 -c docs --filter @tenant.json --http 8000
    """
    guard = _check_listen(listen)
    options, given = selection.options(), parse_params(params)
    fixed = options.filter
    if fixed is not None and not restricts(fixed):
        raise CommandError("--filter has no condition, so that it keeps nothing out: leave it out, or say what may be found")
    reranked = replace(reranking, text_keys=tuple(split_list(tools.text_key)))
    where = where.settle()
    with connect(where) as client:
        asked = replace(options, filter=None, timeout=where.timeout)
        executor, plan = make_plan(client, where, choice, asked, models, reranked, fixed_filter=fixed)
        refuse_unread_params(plan, given)
        picked = _pick(_read_keys(tools.filter_by), executor)
        threshold = pick_threshold("auto", plan.strategy)
        spec = ToolSpec(picked, cap_k(tools.max_k, plan.strategy, SearchOptions()), selection.k, tools.max_tokens, threshold)
        with open_reranker(reranking.model) as executor.reranker:
            collection = ServedCollection(executor, plan.strategy, given, where.timeout, spec, tools.description)
            if listen.http is None:
                _serve_stdio(collection.server())
            else:
                _serve_http(collection.server(), listen, guard)


def _read_keys(text: str | None) -> dict[str, PayloadType | None]:
    """What `--filter-by` says: key → type, or None where none is given. Raises CommandError where a type is misspelt."""
    keys: dict[str, PayloadType | None] = {}
    for written in split_list(text):
        key, colon, kind = written.rpartition(":")
        if colon and kind in USABLE:
            keys[key] = cast(PayloadType, kind)
        elif colon and (hint := did_you_mean(kind, USABLE)):
            raise CommandError(f"--filter-by {written}: there is no type {kind!r}{hint}")
        else:
            keys[written] = None  # a key may have a colon in its name
    return keys


def _pick(keys: Mapping[str, PayloadType | None], executor: Executor) -> tuple[FilterArgument, ...]:
    try:
        return ask_filters(executor, keys, report=_refuse_filter)
    except StrategyError as error:
        said = re.sub(r"filters=\{'(.+?)': '(\w+)'\}", r"--filter-by \1:\2", str(error))
        said = re.sub(r"filters=\{'(.+?)': None\}", r"--filter-by \1", said)
        raise CommandError(said.replace("out of filters", "out of --filter-by")) from error


def _refuse_filter(mistake: object) -> None:
    raise CommandError(str(mistake).replace("The fixed_filter", "--filter").replace("the fixed_filter", "--filter"))


@dataclass(frozen=True)
class ServedCollection:
    """What the tools answer from: an executor within the fixed filter, how results are ranked, and the arguments and caps.

    `params` are each call's request-time values, and `timeout` its seconds; `description` tells the model what it finds here.
    """

    executor: Executor
    strategy: Strategy
    params: Mapping[str, Any]
    timeout: float | None
    spec: ToolSpec
    description: str

    def search(self, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """The results as text, or what to send instead; and whether that is an error."""
        return self._answer(arguments, explanations=False)

    def explain(self, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """Why each result is where it is, as text."""
        return self._answer(arguments, explanations=True)

    def schema(self, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """The payload's keys, as far as the fixed filter lets see."""
        client = self.executor.clients.sync()
        fixed = self.executor.fixed_filter
        seen, hidden = payload_schema(client, self.executor.collection, filter=fixed), filter_keys(fixed)
        found = str(replace(seen, keys=tuple(each for each in seen.keys if each.key.replace("[]", "") not in hidden)))
        most = self.spec.max_tokens * BYTES_OF_A_TOKEN
        return found.encode()[:most].decode("utf-8", "ignore"), False

    def server(self) -> Any:
        """The server of the official SDK. Raises MissingExtra where that isn't installed."""
        sdk, types = (load_extra(name, "the command mcp", "mcp") for name in ("mcp.server", "mcp.types"))
        runs = {"search": self.search, "explain": self.explain, "schema": self.schema}
        reads = types.ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
        nothing = {"type": "object", "properties": {}, "additionalProperties": False}
        says = {
            "search": (self.description, self.spec.parameters()),
            "explain": (
                "Say why each result of a search is where it is: its rank and score in each part, and what each term "
                "adds to its score.",
                self.spec.parameters(),
            ),
            "schema": ("List the payload keys that documents have, with types, ranges and frequent values.", nothing),
        }
        listed = [
            types.Tool(name=name, description=text, input_schema=schema, annotations=reads)
            for name, (text, schema) in says.items()
        ]

        async def list_tools(context: Any, request: Any) -> Any:
            return types.ListToolsResult(tools=listed)

        async def call_tool(context: Any, request: Any) -> Any:
            run = runs.get(request.name)
            if run is None:
                text, failed = f"There is no tool {request.name[:40]!r}. The tools are {', '.join(runs)}.", True
            else:
                try:
                    text, failed = await in_worker(partial(run, request.arguments or {}))
                except Exception as error:
                    _LOG.warning("the tool %r failed", request.name, exc_info=error)
                    text, failed = self.spec.fail(error), True
            return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=failed)

        return sdk.Server("qdrant-rerank", version=__version__, on_list_tools=list_tools, on_call_tool=call_tool)

    def _answer(self, arguments: Mapping[str, Any], explanations: bool) -> tuple[str, bool]:
        call = self.spec.read(arguments)
        if isinstance(call, str):
            return call, True
        query = Query(call.query, params=self.params)
        options = SearchOptions(limit=call.k, filter=call.filter, timeout=self.timeout)
        found = self.executor.answer(self.strategy, options, lambda plan: plan.answer(query, explanations))
        if not explanations:
            return self.spec.answer(call, list(map(self._hit, found.points))), False
        reasons = {reason.id: _write_reason(reason) for reason in found.reasons}
        hits = [ToolHit(str(point.id), float(point.score), reasons[point.id], {}) for point in found.points]
        return self.spec.answer(call, hits), False

    def _hit(self, point: Any) -> ToolHit:
        payload = point.payload or {}
        values = {each.name: value_at(payload, each.key) for each in self.spec.filters}
        return ToolHit(str(point.id), float(point.score), self.executor.payload.content(payload).text, values)


def _write_reason(reason: Any) -> str:
    facts = {name: value for name, value in reason.as_dict().items() if name not in ("id", "score")}
    return json.dumps(_round_floats(facts), ensure_ascii=False)


def _round_floats(value: Any) -> Any:
    """The value with its floats to four digits: more are tokens without use."""
    if isinstance(value, dict):
        return {name: _round_floats(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_round_floats(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


# Ways in


def _serve_stdio(server: Any) -> None:
    import anyio
    from mcp.server.stdio import stdio_server

    async def serve() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(serve)


def _serve_http(server: Any, listen: Listen, guard: HttpGuard) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:  # it accepts from now on
                address = f"http://{listen.host}:{listen.http}/mcp"
                errors_console().print(f"the tools are at {address}; Ctrl+C ends them", style="dim")

    app: Any = build_http_app(server, listen.host, guard)
    Server(uvicorn.Config(app, host=listen.host, port=listen.http or 0, log_level="warning")).run()


def build_http_app(server: Any, host: str, guard: HttpGuard) -> App:
    """The SDK's application behind the guard, which tells browsers what pages may call it.

    A browser asks before a page's call, without the token; so this comes before the guard.
    """
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.middleware.cors import CORSMiddleware

    # at this machine's own address the SDK checks `Host`, so that no name of a page's leads here; elsewhere the token does
    hosts = [each for name in _THIS_MACHINE for each in (name, f"{name}:*")]
    pages = [f"{scheme}://{each}" for scheme in ("http", "https") for each in hosts]
    checks = TransportSecuritySettings(
        enable_dns_rebinding_protection=host in _LOOPBACK,
        allowed_hosts=hosts,
        allowed_origins=[*pages, *guard.origins],
    )
    app: App = server.streamable_http_app(host=host, transport_security=checks)
    return CORSMiddleware(
        guard.around(app),
        allow_origins=guard.origins,
        allow_origin_regex=_PAGE_HERE,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=("mcp-session-id", "www-authenticate"),
    )


@dataclass(frozen=True)
class HttpGuard:
    """What each HTTP request must have: `Authorization` bears the token, if there is one.

    `origins` are web pages that may call, besides those of this machine.
    """

    token: str | None = None
    origins: tuple[str, ...] = ()

    def refusal(self, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        """The status and text with which a request is refused; None if it may pass."""
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and origin not in self.origins and not re.fullmatch(_PAGE_HERE, origin):
            return 403, "pages of this origin may not call"
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if self.token is not None and not (
            scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self.token.encode())
        ):
            return 401, "a token is needed"
        return None

    def around(self, app: App) -> App:
        """The application behind this guard."""

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            refused = self.refusal(dict(scope["headers"])) if scope["type"] == "http" else None
            if refused is None:
                await app(scope, receive, send)
                return
            status, text = refused
            headers = [(b"content-type", b"text/plain"), *([(b"www-authenticate", b"Bearer")] if status == 401 else [])]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": text.encode()})

        return guarded


def _read_origins(text: str | None) -> tuple[str, ...]:
    """What `--origin` says, as browsers write origins. Raises CommandError where one is none: it would let no page in."""
    origins: list[str] = []
    for written in split_list(text):
        origin = written.removesuffix("/").lower()
        scheme, _, rest = origin.partition("://")
        usual = {"http": ":80", "https": ":443"}.get(scheme, "")
        if not _ORIGIN.fullmatch(origin):
            raise CommandError(
                f"--origin {written}: an origin is a scheme and a host, and a port if needed: https://app.example"
            )
        origins.append(f"{scheme}://{rest.removesuffix(usual)}")
    return tuple(origins)


def _check_listen(listen: Listen) -> HttpGuard:
    """The guard of HTTP requests. Raises CommandError where others could come in without a token, or options have no effect."""
    token = os.environ.get(_TOKEN) or None
    if listen.http is None and (listen.host != "127.0.0.1" or listen.origin is not None):
        raise CommandError("--host and --origin are for --http PORT")
    if listen.host not in _LOOPBACK and token is None:
        raise CommandError(
            f"--host {listen.host} lets other machines in: set a token in the environment's {_TOKEN}, which clients send as "
            "`Authorization: Bearer …`; without --host only this machine gets in"
        )
    if token is not None and (len(token) < 16 or not token.isascii() or any(map(str.isspace, token))):
        raise CommandError(f"the environment's {_TOKEN} must be at least 16 characters without spaces, in ASCII")
    return HttpGuard(token, _read_origins(listen.origin))
