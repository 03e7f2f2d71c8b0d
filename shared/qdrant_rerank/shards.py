"""What changes with the number of shards: warnings of a plan.

A search is put together from all shards' answers, best first, and so is each plain search below an outermost fusion. Any other
stage over candidates runs in each shard, over the candidates that this shard alone finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .brief import brief
from .lint import Lint

if TYPE_CHECKING:
    from .schema import Schema
    from .strategies import Stage

__all__ = ["shard_lints"]


def shard_lints(root: Stage, schema: Schema) -> Iterator[Lint]:
    """What is other on the shards of `schema`, of which there are several, than on one; `root` is the outermost stage."""
    several = f"the {schema.shards} shards"
    for depth, stage in enumerate(root.stages()):
        if depth and stage.once_per_collection:
            yield Lint(
                "nested-under-shards",
                f"{brief(stage)} below another stage runs in each of {several} by itself, so results change with the number of "
                "shards: put fusion and MMR outermost, or compute a formula over them here with .on_client()",
            )
        if not stage.once_per_collection and _has_own_candidates(stage):
            yield Lint(
                "candidates-per-shard",
                f"each of {several} hands {brief(stage)} its own candidates, as many as their limit says, so results change "
                f"with the number of shards (not for the worse): {_here(stage)} ranks the whole collection's candidates, and "
                "gives the same on any number",
            )
    for name in dict.fromkeys(stage.vector for stage in root.stages()):
        if name is not None and name in schema.vectors and schema.vectors[name].idf:
            yield Lint(
                "idf-per-shard",
                f"each of {several} weighs {name!r} by the IDF of its own points, so scores and order change with the number "
                "of shards: the more points a shard has, the less",
            )


def _has_own_candidates(stage: Stage) -> bool:
    """Whether it ranks candidates of which the warning isn't said already."""
    return any(not candidate.once_per_collection for candidate in stage.candidates)


def _here(stage: Stage) -> str:
    """How to have it computed here."""
    return "Formula(…).over(…).on_client()" if stage.vector is None else "Formula(score()).over(…).on_client() around it"
