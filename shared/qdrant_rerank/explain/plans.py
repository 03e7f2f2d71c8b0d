"""What a plan says of itself: the requests as JSON, the round trips, the servers that would refuse it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from ..values import as_table

_SHOWN = 4  # numbers of a vector that are worth reading
_DEPTHS: Final = (14, 11, 9, 8, 7, 6, 5, 4, 3, 2)
_ITEMS: Final = 4  # of a list, where it is abridged
_FEW: Final = 3  # values that take no more place than saying how many they are
_LINES = 120  # of a request, likewise
LATER: Final = "then, with a vector that the model's scores have shifted (here the query's own):"


@dataclass(frozen=True)
class Refusal:
    """Servers before `before` refuse the plan (or ignore a part of it, if `silent`), because of `what`."""

    before: str
    what: str
    silent: bool = False

    def __str__(self) -> str:
        return f"before {self.before}: {'ignored' if self.silent else 'refused'} ({self.what})"


@dataclass(frozen=True)
class PlanDescription:
    """What will be asked of Qdrant; `print` it, or use the parts.

    Attributes:
        strategy: the strategy with all names filled in.
        collection: the collection's name.
        vectors: its vectors.
        server: the server's version.
        embeds: the vectors that the query is embedded for.
        round_trips: requests to Qdrant for one query.
        reads: texts that a reranker reads for one query.
        refusals: which older servers would refuse or ignore what.
        warnings: what will work, but not as it seems.
        requests: the requests as JSON values, long vectors abbreviated.
        later: the requests of a second round, which a model's scores make; the query's vector stands for the steered one.
        summary: the strategy as text for people, with long formulas and what coefficients were fitted to cut short.
        computed: where a formula is computed, and about what it takes there and elsewhere; "" where there is no choice.
    """

    strategy: str
    collection: str
    vectors: str
    server: str
    embeds: tuple[str, ...]
    round_trips: int
    reads: int
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    requests: tuple[Any, ...]
    later: tuple[Any, ...] = ()
    summary: str = ""
    computed: str = ""

    def __str__(self) -> str:
        return "\n".join([*(f"{name:<12} {text}" for name, text in self._facts()), *self._bodies()])

    def _repr_html_(self) -> str:
        return as_table("What will be asked of Qdrant", ("", ""), self._facts(), below="\n".join(self._bodies()))

    def _facts(self) -> list[tuple[str, str]]:
        embeds = ", ".join(map(repr, self.embeds)) or "nothing"
        read = f", {_count(self.reads, 'text')} read by the reranker" if self.reads else ""
        return [
            ("strategy", self.summary or self.strategy),
            ("collection", f"{self.collection}: {self.vectors}"),
            ("server", self.server),
            ("one query", f"{_count(self.round_trips, 'round trip')}{read}; embeds {embeds}"),
            *([("computed", self.computed)] if self.computed else []),
            ("servers", "; ".join(map(str, self.refusals)) or "any"),
            *(("warning", warning) for warning in self.warnings),
        ]

    def _bodies(self) -> list[str]:
        later = [LATER, *map(_body, self.later)] if self.later else []
        return [*map(_body, self.requests), *later]


def _body(request: Any) -> str:
    made, left = abridge(request, lambda value: _written(value).count("\n") < _LINES)
    return _written(made) + (f"\n({left:,} values are left out here; .requests has them all)" if left else "")


def _written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def abbreviate(request: BaseModel) -> Any:
    """A request as the JSON value that goes out, long vectors cut short."""
    return _shorten_vectors(request.model_dump(mode="json", by_alias=True, exclude_none=True))


def _shorten_vectors(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            # without the keys of model providers, as an explanation is made to be shown
            key: {name: "…" if _SECRET.search(name) else option for name, option in item.items()}
            if key == "options" and isinstance(item, dict)
            else _shorten_vectors(item)
            for key, item in value.items()
        }
    if not isinstance(value, list):
        return value
    if len(value) > _SHOWN and all(isinstance(item, int | float) for item in value):
        return [*value[:_SHOWN], f"… {len(value)} numbers"]
    return [_shorten_vectors(item) for item in value]


_SECRET: Final = re.compile("key|token|secret|password|auth", re.I)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# Long requests, abridged


def abridge(value: Any, fits: Callable[[Any], bool]) -> tuple[Any, int]:
    """A JSON value with its deepest parts and the ends of its lists left out until it fits, and how many values they hold.

    `fits` is asked of larger ones first; the smallest is taken if none fits.
    """
    if fits(value):
        return value, 0
    made: Any = value
    for depth in _DEPTHS:
        made = _cut(value, depth)
        if fits(made):
            break
    return made, values_in(value) - _kept(made)


def values_in(value: Any) -> int:
    """How many numbers, texts and truth values a JSON value holds, at any depth."""
    return sum(1 for _ in _leaves(value))


def _kept(value: Any) -> int:
    return sum(1 for leaf in _leaves(value) if not isinstance(leaf, _LeftOut))


class _LeftOut(str):
    """What stands where something is left out."""


def _leaves(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as inside:
                waiting += inside.values()
            case list() as inside:
                waiting += inside
            case leaf:
                yield leaf


def _cut(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if depth == 0 and (count := values_in(value)) > _FEW:
        return _LeftOut(f"… {count:,} values")
    below = max(0, depth - 1)
    if isinstance(value, dict):
        return {key: _cut(item, below) for key, item in value.items()}
    if len(value) <= _ITEMS + 1:
        return [_cut(item, below) for item in value]
    left = value[_ITEMS:]
    return [*(_cut(item, below) for item in value[:_ITEMS]), _LeftOut(f"… {len(left):,} more ({values_in(left):,} values)")]
