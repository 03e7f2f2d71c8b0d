"""Errors of an engine keep their type, and get a note: what was done where, what the engine says in full, and what to do.

    with describe_failures(Place.of(client, "docs"), "searching"):
        client.query_points(…)

`str()` of qdrant-client's errors is cut at about 200 characters, and knows neither the server nor the collection. Errors of
this package say it themselves. An error without a message, as an async client's timeout is, becomes a `TimeoutError` from it;
one of Python's, as qdrant-client raises them on answers that aren't Qdrant's, becomes an `EngineError` from it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from .capabilities import Engine
from .clients import engine_of
from .engine_errors import Failure, Kind, read_failure
from .errors import EngineError, QdrantRerankError, TimeoutError

__all__ = ["Place", "address_of", "describe_failures"]

_SHORTEST_SECRET: Final = 8  # shorter ones are in many words
_UNREADABLE: Final = (AssertionError, AttributeError, IndexError, KeyError, TypeError, UnicodeDecodeError, ValueError)

_ADVICE: Final[dict[Kind, str]] = {
    "no value": "give the fields of the formula defaults: field('…', default=…)",
    "not a number": "give the fields of the formula defaults: field('…', default=…)",
    "not a date": "give the dates of the formula defaults: datetime_field('…', default=…)",
    "not a place": "give the distances of the formula defaults: geo_distance(…, default=…)",
    "not finite": "some candidate makes the formula infinite or undefined: raw expressions need bounds of their own",
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
    """What is called: an engine, and the collection in it.

    Attributes:
        engine: the kind of engine.
        address: where a server is, without credentials; "" for none.
        collection: the collection's name; "" for none.
        secrets: what no note may show.
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
    """Gives what an engine's call raises a note.

    Args:
        place: what is called.
        doing: what for, e.g. "searching".

    Raises:
        TimeoutError: no answer came in time, and the error itself doesn't say so.
        EngineError: the answer can't be read, or the request can't be sent.
    """
    try:
        yield
    except QdrantRerankError:
        raise  # it says itself what is wrong
    except Exception as error:
        failure = read_failure(error)
        if failure.kind == "timeout" and not str(error).strip():
            raise TimeoutError(f"no answer in time while {doing} {place}; {_ADVICE['timeout']}") from error
        if place.engine == "server" and failure.kind == "unknown" and isinstance(error, _UNREADABLE):
            what = f"{type(error).__name__}: {error}"
            why = f"qdrant-client can't read the answer, or can't send the request ({what})"
            raise EngineError(_hidden(f"{doing} {place} failed: {why}", place)) from error
        note = _note(error, failure, place, doing)
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


def address_of(client: object) -> str:
    """Where a client's server is, as it was given, without user, password and what follows the path."""
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
    return _hidden("\n".join(lines), place)


def _hidden(text: str, place: Place) -> str:
    for secret in place.secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text
