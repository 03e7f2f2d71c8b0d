"""What works on a collection, but worse than it looks: structured warnings, and the limits that servers set.

The figures are measured or read in Qdrant's source (1.19): un-indexed payload keys make formulas 6 to 19 times slower, as the
payload is read anew for each occurrence; REST bodies may be 32 MB and about 127 levels deep; gRPC messages, which the
nodes of a cluster exchange too, 100 levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qdrant_client import models

from .expressions.inspect import payload_keys
from .expressions.nodes import Expression
from .extent import MAX_BYTES, MAX_CONDITIONS, Extent
from .schema import Schema

__all__ = ["Lint", "extent_problems", "extent_warnings", "index_problems", "index_warnings"]

REST_DEPTH: Final = 120  # of 127: the request around the formula takes the rest
GRPC_DEPTH: Final = 94  # of 100
BODY_BYTES: Final = 32 * 2**20
_BYTES_PER_NODE: Final = 24  # the least that a node takes as JSON: a lower bound is enough to refuse
_HERE: Final = "Formula(…).over(…).on_client() computes it here, whatever its size"


_HIDE_NUMBERS: Final = (
    models.PayloadSchemaType.KEYWORD,
    models.PayloadSchemaType.BOOL,
    models.PayloadSchemaType.DATETIME,
    models.PayloadSchemaType.GEO,
    models.PayloadSchemaType.UUID,
)


class Lint(str):
    """A warning's text, with a code to tell kinds of warnings apart.

    Attributes:
        code: e.g. `"unindexed-field"`.
    """

    code: str

    def __new__(cls, code: str, message: str) -> Lint:
        lint = super().__new__(cls, message)
        lint.code = code
        return lint

    def __reduce__(self) -> tuple[type[Lint], tuple[str, str]]:
        return type(self), (self.code, str(self))


def index_problems(expression: Expression, schema: Schema) -> Iterator[str]:
    """Payload indexes that a formula can't work with."""
    for key in payload_keys(expression):
        index = schema.indexes.get(key.key)
        if key.index == models.PayloadSchemaType.FLOAT and index is not None and index in _HIDE_NUMBERS:
            yield (
                f"field({key.key!r}) reads a number, but the collection {schema.collection!r} has a {index.value} index on it, "
                "which hides numbers from formulas: replace it by a float index"
            )
        if index is None and _demands_indexes(schema):
            yield (
                f"the collection {schema.collection!r} is in strict mode, which demands a payload index on {key.key!r}: make "
                f"one{_of_type(key.index)}, e.g. with qdrant_rerank.ingest.ensure_indexes(client, collection, strategy)"
            )


def index_warnings(expression: Expression, schema: Schema, engine: str) -> Iterator[Lint]:
    """Payload indexes that are missing, or that hide some values."""
    for key in payload_keys(expression):
        index = schema.indexes.get(key.key)
        if index is None and engine != "local":
            yield Lint(
                "unindexed-field",
                f"{key.key!r} has no payload index, which makes a formula over it 6 to 19 times slower: make one"
                f"{_of_type(key.index)}, e.g. with qdrant_rerank.ingest.ensure_indexes(client, collection, strategy)",
            )
        if key.index == models.PayloadSchemaType.FLOAT and index == models.PayloadSchemaType.INTEGER:
            yield Lint(
                "integer-index",
                f"the integer index on {key.key!r} hides values with decimals from formulas, which then count as missing: "
                "if there may be any, replace it by a float index",
            )


def _demands_indexes(schema: Schema) -> bool:
    strict = schema.strict
    return strict is not None and bool(strict.enabled) and strict.unindexed_filtering_retrieve is False


def _of_type(index: models.PayloadSchemaType | None) -> str:
    return f" of type {index}" if index is not None else ""


def extent_problems(size: Extent) -> Iterator[str]:
    """Formulas that every server refuses."""
    if size.json_depth > REST_DEPTH:
        yield (
            f"the formula is {size.json_depth} levels deep as JSON, and servers take about {REST_DEPTH}: "
            f"nest less, e.g. write long sums as one sum; {_HERE}"
        )
    if size.nodes * _BYTES_PER_NODE > BODY_BYTES:
        megabytes = size.nodes * _BYTES_PER_NODE // 2**20
        yield (
            f"the formula has {size.nodes:,} nodes, more than {megabytes} MB as JSON; a request may have "
            f"{BODY_BYTES // 2**20} MB: {_HERE}"
        )


def extent_warnings(size: Extent) -> Iterator[Lint]:
    """Formulas that some connections refuse, and those that are slow because they are large."""
    if size.grpc_depth > GRPC_DEPTH:
        yield Lint(
            "deep-formula",
            f"the formula is {size.grpc_depth} levels deep: gRPC refuses more than {GRPC_DEPTH}, and so do the nodes of a "
            f"cluster among themselves; {_HERE}",
        )
    if size.conditions > MAX_CONDITIONS or size.bytes > MAX_BYTES:
        refused = f", and servers refuse requests of more than {BODY_BYTES // 2**20} MB" if size.bytes > BODY_BYTES else ""
        yield Lint(
            "large-formula",
            f"the formula has {size.conditions:,} conditions and about {size.bytes:,} bytes as JSON, which travel with every "
            f"query and are gone through for every candidate{refused} (up to {MAX_CONDITIONS:,} and {MAX_BYTES:,} are a good "
            f"size): {_HERE}; or fit fewer trees or leaves",
        )
