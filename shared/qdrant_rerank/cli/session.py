"""What `search` and `explain` have in common: a collection, a strategy planned for it, and the encoders it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qdrant_client import QdrantClient

from .. import Executor, SearchOptions
from .._internals import VectorKind as Kind
from .._internals import did_you_mean, in_time, placeholders
from ..models import Encoders
from ..planning import Plan
from .choose import Choice
from .connect import CommandRetries, the_collection
from .encoders import check_embedder, query_encoders
from .failures import CommandError
from .notes import read_notes
from .rerankers import Reranking, ShownText

__all__ = ["check_params", "planned", "prepared"]


def planned(
    client: QdrantClient,
    collection: str | None,
    choice: Choice,
    options: SearchOptions,
    reranking: Reranking | None,
    policy: CommandRetries,
) -> tuple[Executor, Plan]:
    """An executor for the collection, and the chosen strategy as a plan for it; with a reranking, read by a model.

    Raises:
        CommandError: see `Choice.strategy` and `the_collection`.
        PlanError: the strategy doesn't fit the collection.
    """
    payload = ShownText.of(() if reranking is None else reranking.text_keys)
    named = in_time(lambda: the_collection(client, collection, policy), "listing the collections")
    executor = Executor(client, named, payload=payload, retries=policy.rest)
    chosen = choice.strategy(executor.target().schema)
    return executor, executor.plan(chosen if reranking is None else reranking.over(chosen), options)


def check_params(plan: Plan, params: Mapping[str, Any]) -> None:
    """Refuse values that nothing in the strategy reads.

    Raises:
        CommandError: there is one.
    """
    _, read = placeholders(plan.strategy, plan.target.schema)
    for name in params:
        if name not in read:
            raise CommandError(
                f"--params: nothing in the strategy reads {name!r}{did_you_mean(name, read)} "
                f"(it reads {', '.join(map(repr, read)) or 'no such values'})"
            )


def prepared(
    client: QdrantClient,
    collection: str | None,
    choice: Choice,
    options: SearchOptions,
    models: Mapping[Kind, str | None],
    reranking: Reranking | None,
    policy: CommandRetries,
) -> tuple[Executor, Plan]:
    """As `planned`, with the encoders that the strategy needs and no others, as loading a model takes seconds."""
    executor, plan = planned(client, collection, choice, options, reranking, policy)
    check_embedder(client, models)
    notes = read_notes(client, executor.collection, policy)
    executor.encoders = Encoders(query_encoders(plan.strategy.needs(), plan.target.schema, notes, models))
    return executor, plan
