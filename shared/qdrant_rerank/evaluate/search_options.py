"""What is asked for where results are measured: equal scores in a fixed order, and ids instead of whole payloads."""

from __future__ import annotations

from dataclasses import replace

from qdrant_client import models

from .. import SearchOptions, Strategy
from .._internals import root_keys
from ..feedback import RelevanceFeedback
from ..stages import ClientFormula, Mmr, Stage
from .doc_ids import DocId

__all__ = ["id_payload", "measured_options", "stable"]


def stable(strategy: Strategy, options: SearchOptions) -> SearchOptions:
    """`options` with points of equal score in the order of their ids, so that a measurement gives the same figures again.

    Engines return ties in random order, and fusion makes many. Groups are put together by Qdrant, and MMR's results aren't in
    the order of their scores: their order is left as it is.
    """
    if options.group_by is not None or isinstance(next(strategy.stages(), None), Mmr):
        return replace(options, stable_ties=False)
    return replace(options, stable_ties=True)


def measured_options(strategy: Strategy, options: SearchOptions, doc_id: DocId) -> SearchOptions:
    """What is asked of `strategy` to measure it: `options`, with stable ties, and of payloads what ids are read from.

    Strategies that this package doesn't know, and models that read texts, get the payload that the options asks for.
    """
    options = stable(strategy, options)
    if isinstance(strategy, Stage | ClientFormula | RelevanceFeedback):  # these fetch by themselves what they read
        return replace(options, with_payload=id_payload(doc_id))
    return options


def id_payload(doc_id: DocId) -> models.WithPayloadInterface:
    """What of the payload a document's id is read from: all of it by a function."""
    return True if callable(doc_id) else root_keys(["_id" if doc_id is None else doc_id])
