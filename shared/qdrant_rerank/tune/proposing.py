"""From a space to the options that fit the collection, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from .. import PlanError, QdrantRerankError, Rerank, SearchOptions, Strategy, StrategyError
from .._internals import planned
from ..errors import FitError, MissingExtra
from ..evaluate._internals import id_payload
from ..planning import Target
from ..stages import Nearest, Stage
from .gathering import Wants
from .options import Family, Ground, Learner, Lessons, Option, Scorer, filled
from .pools import Pool, key_of, leaf_depths
from .recomputing import is_recomputable, reads_payload
from .rescoring import found_again
from .spaces import Space
from .tunings import LeftOut

__all__ = ["DEFAULT", "Proposals", "proposals", "taught", "wants_of"]

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
        return found_again(option.strategy, pool, target, limit, scorer)


@dataclass(frozen=True)
class Proposals:
    """The options, each with its family, the baseline first; and those that don't fit the collection."""

    options: tuple[tuple[Family, Option], ...]
    left_out: tuple[LeftOut, ...]


def proposals(space: Space, ground: Ground, target: Target) -> Proposals:
    """What the families propose.

    Raises:
        PlanError: the baseline doesn't fit the collection, or an option that must.
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
                checked = planned(option.strategy, target, SearchOptions(limit=ground.limit))
            except (PlanError, StrategyError) as error:
                if option.name == DEFAULT or option.must_fit:
                    raise
                left_out.append(LeftOut(option.name, f"it doesn't fit: {error}".replace("\n", "; ")))
                continue
            same = filled(checked.strategy, ground.limit)
            if isinstance(family, Learner) or same not in seen:  # e.g. the baseline is in the space, too
                seen.add(same)
                found.append((family, replace(option, strategy=checked.strategy)))
    return Proposals(tuple(found), tuple(left_out))


def taught(proposed: Proposals, ground: Ground, lessons: Lessons) -> Proposals:
    """The options with what is learned from judgments; those that too little can be learned for are left out."""
    found: list[tuple[Family, Option]] = []
    left_out = list(proposed.left_out)
    for family, option in proposed.options:
        if not isinstance(family, Learner):
            found.append((family, option))
            continue
        try:
            found.append((family, family.learned(option, ground, lessons)))
        except (FitError, MissingExtra) as error:
            left_out.append(LeftOut(option.name, str(error)))
        except QdrantRerankError as error:  # e.g. a request-time value that a topic lacks
            left_out.append(LeftOut(option.name, f"{type(error).__name__}: {error}"))
    return Proposals(tuple(found), tuple(left_out))


def wants_of(options: Iterable[tuple[Family, Option]], ground: Ground, doc_id: Any) -> Wants:
    """The plain searches that the options are recomputed from, each as deep as the deepest of them needs."""
    leaves: dict[str, tuple[Nearest, int]] = {
        key_of(candidate): (candidate, max(ground.deepest, ground.limit)) for candidate in ground.candidates
    }
    payload = False
    for _, option in options:
        below, needed = _below(option.strategy, ground.limit)
        if below is None or not is_recomputable(below, ground.schema):
            continue
        payload = payload or reads_payload(option.strategy)
        for key, (leaf, depth) in leaf_depths(below, needed).items():
            there = leaves.get(key)
            leaves[key] = (leaf, depth) if there is None else (there[0], max(depth, there[1]))
    return Wants(leaves, True if payload else id_payload(doc_id))


def _below(strategy: Strategy, limit: int) -> tuple[Stage | None, int]:
    """The stage that Qdrant runs, and how many points it is asked for."""
    if isinstance(strategy, Stage):
        return strategy, limit
    if isinstance(strategy, Rerank) and isinstance(strategy.below, Stage):
        return strategy.below, strategy.candidate_options(SearchOptions(limit=limit)).limit
    return None, limit
