"""Looking up how a model of qdrant-client is translated, by its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qdrant_client import models

__all__ = ["by_type", "translator"]

Table = dict[type[Any], Callable[..., Any]]


def by_type(translators: Mapping[str, Callable[..., Any]]) -> Table:
    """Translators by the class of `qdrant_client.models` that they are for; older clients lack some of them."""
    return {getattr(models, name): translate for name, translate in translators.items() if hasattr(models, name)}


def translator(table: Table, kind: type[Any]) -> Callable[..., Any] | None:
    """The translator for a class or the nearest of its bases; None if there is none."""
    found = table.get(kind)
    if found is None:
        found = next((table[base] for base in kind.__mro__ if base in table), None)
    return found
