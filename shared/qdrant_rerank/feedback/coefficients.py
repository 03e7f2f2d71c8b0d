"""The three coefficients of relevance feedback, their provenance, and their file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..errors import FormatError, Lint, StrategyError
from ..jsonlines import line_of, parse_json, read_text, take_version, with_version
from ..payload import TextSource
from ..query import Target
from ..values import find_changes, is_finite, is_whole

Mode: TypeAlias = Literal["precision", "recall"]
Verdict: TypeAlias = Literal["plain", "rerank", "feedback"]

LEAST_SEEDS = 2
"""A pair takes two seeds."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What coefficients were fitted to: they mean nothing for another model, vector, mode or number of seeds.

    None is unknown.

    Attributes:
        mode: how they are to be used.
        seeds: how many documents of the first search the reranker scores.
        reranker: its fingerprint.
        vector: the name of the dense vector that is compared; `""` is the unnamed one.
        size: its dimensions.
        distance: how it is compared, as Qdrant writes it, e.g. "Cosine".
        encoder: the fingerprint of the embedding model of queries.
        text: which text of a point the reranker read.
        recommends: what the fit found best: "plain" search, plain reranking ("rerank"), or "feedback".
        metrics: the fit's figures, by name.
        data: a hash of the fit's queries.
        queries: short hashes of the queries one by one, see `hashes_of`; neither shown nor compared.
        versions: of the packages and the server.
        date: of the fit, as ISO 8601.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    mode: Mode
    seeds: int
    reranker: str | None = None
    vector: str | None = None
    size: int | None = None
    distance: str | None = None
    encoder: str | None = None
    text: TextSource | None = None
    recommends: Verdict | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    data: str | None = None
    queries: str = field(default="", repr=False, compare=False)
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise StrategyError(f"the mode of a provenance is 'precision' or 'recall'; got {self.mode!r}")
        if not is_whole(self.seeds, LEAST_SEEDS):
            raise StrategyError(f"a provenance is for a whole number of at least {LEAST_SEEDS} seeds, got {self.seeds!r}")
        if self.recommends is not None and self.recommends not in get_args(Verdict):
            raise StrategyError(f"a provenance recommends 'plain', 'rerank' or 'feedback'; got {self.recommends!r}")
        if re.fullmatch(rf"(?:[0-9a-f]{{{HASH_DIGITS}}})*", self.queries) is None:
            raise StrategyError(
                f"the queries of a provenance are hashes of {HASH_DIGITS} hex digits each, without gaps; "
                f"got {self.queries!r:.100}"
            )

    def differences(self, mode: Mode, seeds: int, using: str, target: Target) -> Iterator[str]:
        """The differences from this provenance, of what both sides know."""
        info, known = target.schema.vectors.get(using), target.fingerprints
        fitted: list[tuple[str, object, Callable[[], object]]] = [
            ("the mode", self.mode, lambda: mode),
            ("the number of seeds", self.seeds, lambda: seeds),
            ("the vector", self.vector, lambda: using),
            ("the vector's size", self.size, lambda: info and info.size),
            ("the distance", self.distance, lambda: info and info.distance_name),
            ("the reranker", self.reranker, known.reranker),
            ("the embedding model", self.encoder, lambda: info and known.encoder(using)),
        ]
        for what, was, here in find_changes(fitted):
            yield f"{what} is {here!r}, was {was!r}"

    def doubts(self, using: str, target: Target) -> Iterator[Lint]:
        """The models that can't be compared with those of the fit, as nothing tells them from others here, or did there."""
        known = target.fingerprints
        pairs = (
            (None, "the reranker", self.reranker, known.reranker),
            (using, "the embedding model", self.encoder, lambda: known.encoder(using)),
        )
        for name, what, fitted, here in pairs:
            if not known.present(name) or (fitted is None and self.data is None):  # None of a fit: nothing told it
                continue
            if fitted is None or here() is None:
                where = f"nothing tells {what} here from others" if fitted else f"nothing told {what} of the fit from others"
                then = f"; that of the fit was {fitted!r}" if fitted else ""
                yield Lint(
                    "nameless-model",
                    f"{where}, so that these coefficients may be for another{then}. Give it a `fingerprint`, a text that "
                    "changes whenever its results would",
                )


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of Qdrant's "naive" relevance feedback, for one collection and one reranker.

    `score(x) = a·sim(q, x) + Σ c·conf^b·(sim(x⁺, x) - sim(x⁻, x))`, summed over all pairs of scored seeds whose feedback
    scores differ, with `conf = s⁺ - s⁻ > 0`.

    Args:
        a: the weight of the query.
        b: how much more pairs count whose scores differ more; at least 0.
        c: the weight of the feedback; 0 is plain search.
        provenance: of the fit; None for numbers from elsewhere.

    Raises:
        StrategyError: one isn't finite, or b is below 0.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    a: float
    b: float
    c: float
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        for name in ("a", "b", "c"):
            value = getattr(self, name)
            if not is_finite(value):
                raise StrategyError(f"the coefficient {name} of relevance feedback must be a finite number, got {value!r}")
            object.__setattr__(self, name, float(value))
        if self.b < 0:
            raise StrategyError(
                f"the coefficient b of relevance feedback must be at least 0, got {self.b!r}: Qdrant refuses others, as pairs "
                "of almost equal scores would then count most; fit again with fit_feedback, which keeps to that"
            )
        if self.provenance is not None and not isinstance(self.provenance, Provenance):
            raise StrategyError(f"the provenance of coefficients must be a Provenance, got {self.provenance!r}")

    @property
    def plain(self) -> bool:
        """Whether they say plain search: 1, 0, 0."""
        return (self.a, self.b, self.c) == (1.0, 0.0, 0.0)

    @classmethod
    def from_official(cls, weights: Any, provenance: Provenance | None = None) -> Self:
        """The result of the trainer in the package qdrant-relevance-feedback: `(a, b, c)`, or a mapping of these names.

        Args:
            weights: the trainer's result.
            provenance: what it was trained on, to be checked; without one a strategy asks for `trust=True`.

        Raises:
            StrategyError: it isn't three numbers, or b is below 0, which that trainer may return and Qdrant refuses.
        """
        values = weights.tolist() if hasattr(weights, "tolist") else weights
        if isinstance(weights, Mapping):
            values = [weights[name] for name in ("a", "b", "c") if name in weights]
        if not isinstance(values, list | tuple) or len(values) != 3:
            raise StrategyError(f"expected the three coefficients (a, b, c) that the trainer returned, got {weights!r}")
        a, b, c = map(float, values)
        return cls(a, b, c, provenance)

    def with_provenance(self, **changes: Any) -> Self:
        """The same numbers with a provenance changed by `changes`, or made of them."""
        known = self.provenance
        return replace(self, provenance=Provenance(**changes) if known is None else replace(known, **changes))

    def to_json(self) -> str:
        return json.dumps(_ADAPTER.dump_python(self, mode="json", exclude_defaults=True), indent=2, ensure_ascii=False)

    def save(self, path: str | PathLike[str]) -> None:
        """Write them to a JSON file."""
        Path(path).write_text(with_version(self.to_json()), "utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Coefficients:
        """The coefficients in a JSON file: one that `save` wrote, or a strategy with relevance feedback outermost.

        Raises:
            FormatError: it holds neither; gives the line.
            OSError: it can't be read.
        """
        return read_coefficients(read_text(path), path)


_ADAPTER: TypeAdapter[Coefficients] = TypeAdapter(Coefficients)


def read_coefficients(text: str, path: str | PathLike[str] | None = None) -> Coefficients:
    """The coefficients in JSON text; `path` is for error messages. Raises FormatError where it holds none."""
    value = parse_json(text, path)
    take_version(value, text, path)
    inside: tuple[str | int, ...] = ()
    if isinstance(value, dict) and value.get("kind") == "relevance_feedback":
        value, inside = value.get("coefficients"), ("coefficients",)
    elif isinstance(value, dict) and "kind" in value:
        what = f"its kind is {value['kind']!r}" if isinstance(value["kind"], str) else "its kind is no text"
        message = f'neither coefficients nor relevance feedback, an object with "kind": "relevance_feedback": {what}'
        raise FormatError(message, path, line_of(text, ("kind",)))
    try:
        return _ADAPTER.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        location = (*inside, *(part for part in first["loc"] if isinstance(part, str | int)))
        where = f" (at {'.'.join(map(str, location))})" if location else ""
        raise FormatError(f"not coefficients: {first['msg']}{where}", path, line_of(text, location)) from None


HASH_DIGITS: Final = 8
"""Hex digits of one hash: of 300 queries and 300 topics, one topic in 50 000 tries is wrongly taken for a known one."""
MOST_HASHES: Final = 500
"""How many are kept."""


def normalise_text(text: str) -> str:
    """The text in lower case, its words with one space between."""
    return " ".join(text.casefold().split())


def hashes_of(texts: Iterable[str]) -> str:
    """The hashes of the texts, in ascending order and without a gap; the first of very many."""
    return "".join(sorted(set(map(_hash, texts)))[:MOST_HASHES])


def count_known(hashes: str, texts: Iterable[str]) -> int:
    """How many of the texts are among those that `hashes_of` was given."""
    known = {hashes[start : start + HASH_DIGITS] for start in range(0, len(hashes), HASH_DIGITS)}
    return sum(_hash(text) in known for text in texts)


def _hash(text: str) -> str:
    return hashlib.sha256(normalise_text(text).encode()).hexdigest()[:HASH_DIGITS]
