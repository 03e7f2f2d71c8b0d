"""Which document a result is: from points, LangChain documents, LlamaIndex nodes, pairs and plain ids.

The frameworks are recognised by the attributes of their results; none is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from qdrant_client import models

from .. import StrategyError
from .._internals import value_at
from ..errors import FormatError
from ..ingest import point_id
from .qrels import Qrels
from .runs import Ranked

__all__ = ["DocId", "aliases", "other_ids", "ranking_of"]

DocId: TypeAlias = "str | Callable[[Any], object] | None"
"""How a document's id is read from a result: a key of its payload or metadata (or an attribute), a function, or None.

None takes `_id` of the payload or metadata, else `Document.id`, `node.node_id` or the point's id.
"""
_ABSENT: Final = object()


def ranking_of(results: Any, doc_id: DocId, names: Mapping[str, str]) -> tuple[tuple[Ranked, ...], int]:
    """The ranking that `results` are, a document's first place only; and how many results were left out for that.

    Args:
        results: what a system returned: an iterable of results, best first.
        doc_id: see `DocId`.
        names: other ids of documents → their ids in the qrels, see `aliases`.

    Raises:
        StrategyError: they are no results, or a result has no such id.
    """
    if isinstance(results, str | bytes | Mapping) or not isinstance(results, Iterable):
        raise StrategyError(
            f"a system must return its results in a list, best first: points, documents, nodes, ids or (id, score) pairs; "
            f"got {type(results).__name__} {results!r}"[:300]
        )
    ranking: dict[str, Ranked] = {}
    count = 0
    for result in results:
        count += 1
        found = str(_id(result, doc_id))
        found = names.get(found, found)
        ranking.setdefault(found, Ranked(found, _score(result)))
    return tuple(ranking.values()), count - len(ranking)


def aliases(qrels: Qrels) -> dict[str, str]:
    """The ids of the points that `ingest` makes of documents → the documents' ids, for all judged documents.

    LangChain's and LlamaIndex's stores may show the point's id only; `ingest` makes it from the document's.
    """
    names: dict[str, str] = {}
    for document in qrels.documents:
        try:
            names[str(point_id(document))] = document
        except FormatError:
            continue  # an id that ingest can't store needs no other name
    return {other: name for other, name in names.items() if other not in qrels.documents}


def _id(result: Any, doc_id: DocId) -> object:
    if doc_id is None:
        return _usual(result)
    found = doc_id(result) if callable(doc_id) else _under(result, doc_id)
    if found is None or found is _ABSENT:
        how = "doc_id=" + (repr(doc_id) if isinstance(doc_id, str) else "your function")
        raise StrategyError(f"{how} gives no document id for the result {_shown(result)}")
    return found


def _usual(result: Any) -> object:
    if isinstance(result, str | int):
        return result
    if isinstance(result, tuple | list) and len(result) == 2:
        return _usual(result[0])
    found = value_at(_metadata(result), "_id")
    if found is not None:
        return found
    for holder in (result, getattr(result, "node", None)):
        for name in ("id", "node_id"):
            if (found := getattr(holder, name, None)) is not None:
                return found
    raise StrategyError(
        f"no document id in the result {_shown(result)}: say where it is with doc_id='key of the metadata' "
        "or doc_id=a function from result to id"
    )


def _under(result: Any, key: str) -> object:
    if isinstance(result, tuple | list) and len(result) == 2:
        return _under(result[0], key)
    found = value_at(_metadata(result), key, _ABSENT)
    for holder in (result, getattr(result, "node", None)):
        if found is _ABSENT:
            found = getattr(holder, key, _ABSENT)
    return found


def _metadata(result: Any) -> Mapping[str, Any]:
    """Payload of a point, metadata of a document or node, or the mapping itself."""
    if isinstance(result, Mapping):
        return result
    for holder in (result, getattr(result, "node", None)):
        for name in ("payload", "metadata"):
            found = getattr(holder, name, None)
            if isinstance(found, Mapping):
                return found
    return {}


def _score(result: Any) -> float:
    """The score that a result carries; 0.0 without one. It orders nothing: rank is position."""
    found: Any = None
    if isinstance(result, tuple | list) and len(result) == 2:
        found = result[1]
    elif not isinstance(result, str | int):
        found = result.get("score") if isinstance(result, Mapping) else getattr(result, "score", None)
        metadata = _metadata(result)
        found = next(
            (value for value in (found, metadata.get("relevance_score"), metadata.get("score")) if value is not None), None
        )
    try:
        score = float(found)
    except (TypeError, ValueError):
        return 0.0
    return score if math.isfinite(score) else 0.0


def _shown(result: Any) -> str:
    metadata = _metadata(result)
    there = f" with {', '.join(sorted(map(repr, metadata))[:12])}" if metadata else ""  # gRPC's have no order
    kind = "point" if isinstance(result, models.ScoredPoint) else type(result).__name__
    return f"{kind}{there}"


def other_ids(found: Iterable[str], judged: Iterable[str]) -> str:
    """What to say where not one document found was judged, as the ids are others: some of both.

    Args:
        found: the documents' ids as results have them.
        judged: their ids in the judgments.
    """
    different = list(dict.fromkeys(found))
    return (
        f"none of the {len(different)} documents found is in the judgments: the results' ids are "
        f"{', '.join(map(repr, different[:3]))}, the judgments' {', '.join(map(repr, sorted(judged)[:3]))}; say with doc_id="
    )
