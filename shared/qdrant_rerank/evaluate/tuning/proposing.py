"""From a space to the options that fit the collection, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ...errors import PlanError, StrategyError
from ...plan import plan
from ...query import Scope, Target
from ...rescore import Rescore
from ...stages import Nearest
from ...strategies import Stage, Strategy
from .gathering import Wants
from .options import Family, Ground, Option, Scorer, filled
from .pools import Pool, key_of, leaf_depths
from .recomputing import is_local, reads_payload, recomputed
from .rescoring import rescored
from .spaces import Space
from .tunings import LeftOut

__all__ = ["DEFAULT", "Proposals", "proposals", "wants_of"]

DEFAULT: Final = "default"
"""What tables call the baseline, and the family that it is of."""
_EVERYTHING = 10_000


@dataclass(frozen=True)
class _Baseline:
    """The family of the baseline alone."""

    name: str = DEFAULT

    def options(self, ground: Ground) -> Iterable[Option]:
        return (Option(DEFAULT, ground.baseline, DEFAULT, complexity=-1),)

    def ranking(self, option: Option, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        if isinstance(option.strategy, Stage):
            return recomputed(option.strategy, pool, target, limit) if is_local(option.strategy) else None
        return rescored(option.strategy, pool, target, limit, scorer)


@dataclass(frozen=True)
class Proposals:
    """The options, each with its family, the baseline first; and those that don't fit the collection."""

    options: tuple[tuple[Family, Option], ...]
    left_out: tuple[LeftOut, ...]


def proposals(space: Space, ground: Ground, target: Target) -> Proposals:
    """What the families propose.

    Raises:
        PlanError: the baseline doesn't fit the collection.
        StrategyError: two options are called the same.
    """
    found: list[tuple[Family, Option]] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    names: set[str] = set()
    for family in (_Baseline(), *space.families):
        for option in family.options(ground):
            if option.name in names:
                raise StrategyError(f"two configurations are called {option.name!r}: give the families names of their own")
            names.add(option.name)
            try:
                checked = plan(option.strategy, target.schema, target.capabilities, Scope(limit=ground.limit), target.payload)
            except (PlanError, StrategyError) as error:
                if option.name == DEFAULT:
                    raise
                left_out.append(LeftOut(option.name, f"it doesn't fit: {error}".replace("\n", "; ")))
                continue
            same = filled(checked.strategy, ground.limit)
            if same not in seen:  # e.g. the baseline is in the space, too
                seen.add(same)
                found.append((family, replace(option, strategy=checked.strategy)))
    return Proposals(tuple(found), tuple(left_out))


def wants_of(options: Iterable[tuple[Family, Option]], ground: Ground, doc_id: Any) -> Wants:
    """The plain searches that the options are recomputed from, each as deep as the deepest of them needs."""
    leaves: dict[str, tuple[Nearest, int]] = {key_of(leg): (leg, max(ground.deepest, ground.limit)) for leg in ground.legs}
    payload = callable(doc_id)
    for _, option in options:
        below, needed = _below(option.strategy, ground.limit)
        if below is None or not is_local(below):
            continue
        payload = payload or reads_payload(option.strategy)
        for key, (leaf, depth) in leaf_depths(below, needed).items():
            there = leaves.get(key)
            leaves[key] = (leaf, depth) if there is None else (there[0], max(depth, there[1]))
    return Wants(leaves, True if payload else [doc_id or "_id"])


def _below(strategy: Strategy, limit: int) -> tuple[Stage | None, int]:
    """The stage that Qdrant runs, and how many points it is asked for."""
    if isinstance(strategy, Stage):
        return strategy, limit
    if isinstance(strategy, Rescore) and isinstance(strategy.below, Stage):
        return strategy.below, strategy.reads
    return None, limit
