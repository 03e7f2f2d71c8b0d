"""What engines say when they refuse or fail, read in one place: `read_failure` makes one small value of any error.

A server answers over REST (a status and JSON) or gRPC (a code and details), qdrant-client's local mode and the Rust engine in
process in words of their own. Whatever reacts to an error asks this module, so that it reacts alike on every engine.

The words were recorded on Qdrant 1.18.3 and 1.19, qdrant-client 1.20 and qdrant-edge-py 0.9. They count only where a status or
code doesn't say enough; unknown ones make a failure "bad request" or "unknown", never another kind.

Errors keep their type, and get a note: what was done where, what the engine says in full, and what to do.

    with describe_failures(Place.of(client, "docs"), "searching"):
        client.query_points(…)

`str()` of qdrant-client's errors is cut at about 200 characters, and knows neither the server nor the collection. Errors of
this package say it themselves. An error without a message, as an async client's timeout is, becomes a `TimeoutError` from it;
one of Python's, as qdrant-client raises them on answers that aren't Qdrant's, becomes an `EngineError` from it.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

import httpx
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from .capabilities import Engine, engine_of
from .errors import EngineError, QdrantRerankError, TimeoutError

Kind: TypeAlias = Literal[
    "no value",
    "not a number",
    "not a date",
    "not a place",
    "not finite",
    "cancelled",
    "strict mode",
    "rate limit",
    "too large",
    "unauthorized",
    "forbidden",
    "not found",
    "already there",
    "wrong dimension",
    "wrong vector",
    "timeout",
    "unreachable",
    "passing",
    "odd answer",
    "bad request",
    "unknown",
]
"""What kind of failure it is.

The first four are a formula's that meets a payload without a value, or with one that it can't read; "not finite" is a formula
without a finite result. The engine in process says "cancelled" of all these, a server of a search that it gave up. "rate limit"
is over after a while, "too large" never: the request needs more than the limit holds. "wrong vector" is a vector's name that
the collection doesn't have. "unreachable" brought no answer; "passing" is a server that can't answer for the moment, or a
cluster with a node away. "odd answer" isn't Qdrant's. "bad request" is anything else that a server refuses.
"""

_VALUES: Final = ("no value", "not a number", "not a date", "not a place")
_PASSING: Final = ("rate limit", "timeout", "unreachable", "passing")


@dataclass(frozen=True)
class Failure:
    """What an engine said: the kind of failure, and its own words, in full.

    Attributes:
        key: the payload key that a formula can't read, where the words name one.
        wait: seconds until the server may be asked again, where it says so.
        status: the HTTP status, or the name of gRPC's code; None for neither.
        engine: as far as the error tells.
    """

    kind: Kind
    message: str = ""
    key: str | None = None
    wait: float | None = None
    status: int | str | None = None
    engine: Literal["server", "edge", "other"] = "other"

    @property
    def shows_values(self) -> bool:
        """Whether a formula met a payload value that it can't read."""
        return self.kind in _VALUES or (self.kind == "cancelled" and self.engine == "edge")

    @property
    def is_formula_s(self) -> bool:
        """Whether a formula has no result for some point."""
        return self.shows_values or self.kind == "not finite"

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.kind in _PASSING or (self.kind == "cancelled" and self.engine == "server")


def read_failure(error: BaseException) -> Failure:
    """What `error` says of the request that it ended: of qdrant-client, grpc, httpx, the Rust engine, or local mode."""
    match error:
        case UnexpectedResponse():
            return _of_rest(error.status_code or 0, _text(error.content), _wait(error.headers))
        case ResourceExhaustedResponse():
            return _of_limit(error.message, float(error.retry_after_s), None)
        case ResponseHandlingException():
            return _of_transport(error.source)
        case EngineError():
            return _in_words(str(error), _collection_kind(str(error)), engine="edge")
        case builtins.TimeoutError():
            return Failure("timeout", str(error))
        case httpx.HTTPError():
            return _of_transport(error)
        case QdrantException() if "Retry-After" in str(error):  # a date, which qdrant-client can't read
            return _of_limit(str(error), None, 429)
        case QdrantRerankError():
            return Failure(_collection_kind(str(error)), str(error))
        case _ if callable(getattr(error, "code", None)):  # grpc's, sync and async: without importing it
            return _of_grpc(error)
        case ConnectionError():
            return Failure("unreachable", str(error))
        case _:
            return _in_words(str(error), _collection_kind(str(error)))


# Words

_VALUE: Final = re.compile(
    r"Expected (?P<type>number|datetime|geo point)(?: value)? for (?P<key>.+?) in the payload and/or in the formula defaults"
    r"(?:\. Error: (?P<reason>.*))?"
)
_VALUE_KINDS: Final[dict[str, Kind]] = {"number": "not a number", "datetime": "not a date", "geo point": "not a place"}
_LOCAL_VALUE: Final = re.compile(r"No value found for (?P<key>.+?) in the payload nor the formula defaults")
_CANCELLED: Final = "process cancelled by service"
# what gRPC's library says of a connection, and one node of a cluster of another
_NO_CONNECTION: Final = re.compile(
    r"failed to connect|connection (?:refused|reset|closed|error)|connect error|transport error|socket closed|"
    r"name resolution|dns|unreachable|goaway|broken pipe|error reading a body|channel closed",
    re.IGNORECASE,
)
_AWAY: Final = re.compile(
    r"temporarily unavailable|active replica|no available|not enough (?:active|successful)|peer .* (?:is )?(?:not|un)|"
    r"read operations? failed|no leader|not ready|shutting down",
    re.IGNORECASE,
)
_IN_TIME: Final = re.compile(r"timed? ?out|deadline exceeded", re.IGNORECASE)
_TOO_LARGE: Final = re.compile(
    r"larger than (?:the )?rate limiter capacity|larger than max|larger than allowed|length too large",
    re.IGNORECASE,
)
_STRICT: Final = re.compile(r"\. Help: |strict mode", re.IGNORECASE)
_NO_KEY: Final = re.compile(
    r"Must provide an API key|Invalid API key|(?:Invalid|Expired|Immature)(?:Token|Signature)", re.IGNORECASE
)
_DIMENSION: Final = re.compile(r"dimension error|expected dim\b|wrong dimension", re.IGNORECASE)
_VECTOR_NAME: Final = re.compile(
    r"(?:not existing|wrong|unknown) vector name|vector .* (?:is|does) not (?:exist|found)", re.IGNORECASE
)


def _in_words(message: str, otherwise: Kind, **more: Any) -> Failure:
    """The failure whose words are known, or `otherwise`."""
    if found := _VALUE.search(message):
        absent = "No value found" in (found["reason"] or "")
        key = found["key"].replace('\\"', '"')  # one node of a cluster quotes another's words
        return Failure("no value" if absent else _VALUE_KINDS[found["type"]], message, key, **more)
    if found := _LOCAL_VALUE.search(message):
        return Failure("no value", message, found["key"], **more)
    return Failure(_kind_in_words(message) or otherwise, message, **more)


def _kind_in_words(message: str) -> Kind | None:
    if "produced a non-finite number" in message:
        return "not finite"
    if _CANCELLED in message:
        return "cancelled"
    if _TOO_LARGE.search(message):
        return "too large"
    if "rate limit" in message.lower():
        return "rate limit"
    if _NO_KEY.search(message):
        return "unauthorized"
    if _STRICT.search(message):
        return "strict mode"
    if _DIMENSION.search(message):
        return "wrong dimension"
    if _VECTOR_NAME.search(message):
        return "wrong vector"
    return None


def _collection_kind(message: str) -> Kind:
    """The kind by the words of engines in process, which have no status, about collections."""
    lower = message.lower()
    return "already there" if "already exists" in lower else "not found" if "not found" in lower else "unknown"


# Over REST

_STATUSES: Final[dict[int, Kind]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    408: "timeout",
    409: "already there",
    413: "too large",
    429: "rate limit",
    502: "passing",
    503: "passing",
    504: "passing",
}


def _of_rest(status: int, content: str, wait: float | None) -> Failure:
    message = _reason(content)
    if status == 429:
        return _of_limit(message, wait, status)
    if status >= 500:
        return _of_inside(message, _STATUSES.get(status, "unknown"), status)
    if status in (400, 403, 422):  # given to several kinds
        return _in_words(message, _STATUSES.get(status, "bad request"), status=status, engine="server")
    return Failure(_STATUSES.get(status, "bad request"), message, status=status, engine="server")


def _of_limit(message: str, wait: float | None, status: int | str | None) -> Failure:
    """Of a server that was asked too much: in a minute, or at once."""
    kind: Kind = "too large" if _TOO_LARGE.search(message) else "rate limit"
    return Failure(kind, message, wait=wait if kind == "rate limit" else None, status=status, engine="server")


def _of_inside(message: str, otherwise: Kind, status: int | str) -> Failure:
    """An internal error: a node that another can't reach, a search that was given up, or something unknown."""
    known = _in_words(message, "unknown", status=status, engine="server")
    if known.is_formula_s or known.kind == "cancelled":
        return known
    passing = _NO_CONNECTION.search(message) or _AWAY.search(message)
    kind: Kind = "passing" if passing else "timeout" if _IN_TIME.search(message) else otherwise
    return Failure(kind, message, status=status, engine="server")


def _reason(content: str) -> str:
    """The message in an answer: `{"status": {"error": …}}`, or text as it is."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content.strip()
    status = cast("dict[str, Any]", value).get("status") if isinstance(value, dict) else None
    said = cast("dict[str, Any]", status).get("error") if isinstance(status, dict) else None
    return said if isinstance(said, str) else content.strip()


def _text(content: Any) -> str:
    return content.decode("utf-8", "replace") if isinstance(content, bytes | bytearray) else str(content or "")


def _wait(headers: Any) -> float | None:
    value = headers.get("retry-after") if isinstance(headers, httpx.Headers) else None
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:  # a date
        return None


# Below HTTP, and over gRPC


def _of_transport(source: Any) -> Failure:
    """Of an error below HTTP, or an answer that isn't Qdrant's."""
    message = str(source)
    match source:
        case httpx.TimeoutException():
            return Failure("timeout", message)
        case httpx.TransportError() | OSError():
            return Failure("unreachable", message or type(source).__name__)
        case _:
            return Failure("odd answer", message or type(source).__name__)


_CODES: Final[dict[str, Kind]] = {
    "UNAUTHENTICATED": "unauthorized",
    "PERMISSION_DENIED": "forbidden",
    "NOT_FOUND": "not found",
    "ALREADY_EXISTS": "already there",
    "DEADLINE_EXCEEDED": "timeout",
    "ABORTED": "passing",
    "CANCELLED": "cancelled",
    "INVALID_ARGUMENT": "bad request",
    "FAILED_PRECONDITION": "bad request",
    "OUT_OF_RANGE": "bad request",
    "UNIMPLEMENTED": "bad request",
}


def _of_grpc(error: Any) -> Failure:
    code, details = error.code(), getattr(error, "details", None)
    name = str(getattr(code, "name", code))
    message = str((details() if callable(details) else None) or "")
    if name == "RESOURCE_EXHAUSTED":
        return _of_limit(message, None, name)
    if name == "UNAVAILABLE":
        kind: Kind = "unreachable" if _NO_CONNECTION.search(message) else "passing"
        return Failure(kind, message, status=name, engine="server")
    if name in ("INTERNAL", "UNKNOWN"):
        return _of_inside(message, "unknown", name)
    if name in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "PERMISSION_DENIED"):  # given to several kinds
        return _in_words(message, _CODES[name], status=name, engine="server")
    return Failure(_CODES.get(name, "unknown"), message, status=name, engine="server")


_SHORTEST_SECRET: Final = 8  # shorter ones are in many words
_UNREADABLE: Final = (AssertionError, AttributeError, IndexError, KeyError, TypeError, UnicodeDecodeError, ValueError)

_ADVICE: Final[dict[Kind, str]] = {
    "no value": "give the fields of the formula defaults: field('…', default=…)",
    "not a number": "give the fields of the formula defaults: field('…', default=…)",
    "not a date": "give the dates of the formula defaults: datetime_field('…', default=…)",
    "not a place": "give the distances of the formula defaults: geo_distance(…, default=…)",
    "not finite": "the formula isn't finite for some candidate: keep it in range, and give raw expressions bounds of their own",
    "cancelled": "the server gave the search up, e.g. as it was stopped: ask again",
    "strict mode": "the collection's strict mode forbids it",
    "too large": "no waiting helps: ask for less at once, in smaller batches or with fewer candidate searches",
    "unauthorized": "the server wants a key, or another one: QdrantClient(api_key=…)",
    "forbidden": "the key lacks this right: use one that has it",
    "wrong dimension": "the collection may have changed since its schema was read: refresh() has it read again",
    "wrong vector": "the collection may have changed since its schema was read: refresh() has it read again",
    "timeout": "allow more time (timeout=), or ask for less: smaller batches, fewer candidates, more indexes",
    "unreachable": "is Qdrant running there, and is that its port? To wait for a server that starts: retries=",
    "passing": "it may pass: ask again, or let retries= do so",
    "odd answer": "that isn't how Qdrant answers: is it another server's address, or a proxy's?",
}


@dataclass(frozen=True)
class Place:
    """What is called: an engine, a server's address without credentials, and the collection in it; "" for none.

    `secrets` are what no note may show.
    """

    engine: Engine
    address: str
    collection: str
    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, client: object, collection: str, engine: Engine | None = None) -> Place:
        """What a client calls; `engine` where the client is wrapped in something else."""
        engine = engine or engine_of(client)
        return cls(engine, address_of(client) if engine == "server" else "", collection, tuple(_secrets(_options(client))))

    def __str__(self) -> str:
        where = {"server": f"at {self.address}" if self.address else "", "local": "in local mode", "edge": "in process"}
        return " ".join(filter(None, [repr(self.collection) if self.collection else "", where[self.engine]]))


@contextmanager
def describe_failures(place: Place, doing: str) -> Generator[None]:
    """Give what an engine's call raises a note: the place, and what was done there, e.g. "searching".

    Raises TimeoutError where no answer came in time and the error itself doesn't say so; EngineError where the answer can't be
    read, or the request can't be sent.
    """
    try:
        yield
    except Exception as error:
        describe_failure(error, place, doing)
        raise


def describe_failure(error: Exception, place: Place, doing: str) -> None:
    """Give what an engine's call raised a note, or raise what says more; as `describe_failures`, once it has happened."""
    if isinstance(error, QdrantRerankError):
        return  # it says itself what is wrong
    failure = read_failure(error)
    if failure.kind == "timeout" and not str(error).strip():
        raise TimeoutError(f"no answer in time while {doing} {place}; {_ADVICE['timeout']}") from error
    if place.engine == "server" and failure.kind == "unknown" and isinstance(error, _UNREADABLE):
        what = f"{type(error).__name__}: {error}"
        why = f"qdrant-client can't read the answer, or can't send the request ({what})"
        raise EngineError(_hide_secrets(f"{doing} {place} failed: {why}", place)) from error
    note = _note(error, failure, place, doing)
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def tell_error(error: BaseException) -> str:
    """An error in one text, to be kept instead of raised: a server's words in full, with what to do."""
    failure, name = read_failure(error), type(error).__name__
    if failure.engine != "server" or not failure.message:
        return f"{name}: {error}"
    advice = _ADVICE.get(failure.kind)
    return f"{name}: {failure.message}" if advice is None else f"{name}: {failure.message} ({advice})"


def address_of(client: object) -> str:
    """The address of a client's server as it was given, without user, password and what follows the path."""
    options = _options(client)
    url, port = str(options.get("url") or options.get("location") or ""), options.get("port")
    if not url:
        host = options.get("host") or ("localhost" if options else "")
        address = f"{host}:{port}" if host and port else str(host)
    else:
        parts = urlsplit(url if "//" in url else f"//{url}")
        address = f"{parts.scheme}://" if parts.scheme else ""
        address += parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
        if ":" not in parts.netloc.rpartition("@")[2] and port:
            address += f" (port {port})"
    return f"{address} (gRPC, port {options.get('grpc_port')})" if options.get("prefer_grpc") else address


def _options(client: object) -> dict[str, Any]:
    options = getattr(client, "init_options", None)
    return options if isinstance(options, dict) else {}


def _secrets(options: dict[str, Any]) -> Generator[str]:
    yield str(options.get("api_key") or "")
    yield urlsplit(str(options.get("url") or "")).netloc.rpartition("@")[0].rpartition(":")[2]
    yield from (str(value) for value in (options.get("headers") or {}).values())


def _note(error: Exception, failure: Failure, place: Place, doing: str) -> str:
    lines = [f"while {doing} {place}"]
    if failure.message and failure.message not in str(error):
        lines.append(f"Qdrant says: {failure.message}")
    advice = _ADVICE.get(failure.kind)
    if failure.kind == "rate limit":
        wait = "a while" if failure.wait is None else f"{failure.wait:g} s"
        advice = f"the collection's rate limit is reached: ask again after {wait}, or let retries= do so"
    if advice is not None:
        lines.append(advice)
    return _hide_secrets("\n".join(lines), place)


def _hide_secrets(text: str, place: Place) -> str:
    for secret in place.secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text
