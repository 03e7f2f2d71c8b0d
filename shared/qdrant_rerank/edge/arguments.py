"""Arguments of `QdrantClient` that mean nothing to an engine in process: refused, so that nobody relies on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..errors import ClientError

__all__ = ["check_extras", "check_unknown"]

_REASONS: Final[Mapping[str, str]] = {
    "consistency": "there is one copy of the data, with nothing to agree on",
    "lookup_from": "vectors can be taken from the collection itself only: retrieve the vector, and pass that",
    "ordering": "writes happen in the order of the calls",
    "shard_key_selector": "a collection is one shard",
    "timeout": "a call that runs can't be stopped",
    "with_lookup": "groups can't be joined with another collection: retrieve its points by the groups' ids",
}


def check_extras(**extras: Any) -> None:
    """Refuse arguments that are given (not None) but can't be honoured.

    Raises:
        ClientError: names each of them, and why.
    """
    given = [name for name, value in extras.items() if value is not None]
    if given:
        listed = "; ".join(f"{name} ({_REASONS.get(name, 'not known here')})" for name in given)
        raise ClientError(f"qdrant-edge can't honour {listed}. Leave it out, or use a Qdrant server")


def check_unknown(method: str, unknown: Mapping[str, Any]) -> None:
    """Refuse keyword arguments that a method doesn't have.

    Raises:
        ClientError: names them.
    """
    if unknown:
        raise ClientError(f"{method} takes no {', '.join(map(repr, unknown))}")
