"""The second request of relevance feedback as it will look, before anything was asked; for explanations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qdrant_client import models

from .feedback import RelevanceFeedback
from .feedback.steering import unsteered_query
from .query import Inputs, SearchOptions, both
from .rerank import Rerank
from .steps import Request
from .strategies import Strategy, widen

__all__ = ["later_requests"]


def later_requests(strategy: Strategy, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
    """What a strategy (resolved) asks in a second round, if it has one; the query's vector stands for the steered one.

    The seeds, which aren't known yet, are named by their number where the request leaves them out.
    """
    if isinstance(strategy, Rerank):
        yield from later_requests(strategy.below, inputs, strategy.candidate_options(options, inputs.target))
    if not isinstance(strategy, RelevanceFeedback) or strategy.cost.round_trips == 1:
        return
    if strategy.mode == "recall":
        seeds = models.HasIdCondition(has_id=[f"… the {strategy.seed_count} seeds"])
        apart = both(options.filter, models.Filter(must_not=[seeds]))
        options = replace(
            options, limit=strategy.reads - strategy.seed_count, page=None, offset=None, filter=apart, with_payload=True
        )
    if strategy.mode == "recall" or strategy.root.is_steered:
        options = replace(options, score_threshold=None)
    query = unsteered_query(strategy.weights, strategy.native, inputs.vectors[strategy.compared])
    yield strategy.root.request(replace(inputs, steering=query), widen(strategy.root, options))
