"""Whether the candidates of stages can fill what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .brief import brief

if TYPE_CHECKING:
    from .strategies import Stage

__all__ = ["shortfalls"]


def shortfalls(stage: Stage, needed: int, who: str, page: int | None = None) -> Iterator[str]:
    """Stages, from `stage` down, whose candidates together hand on fewer points than it is to rank.

    Args:
        stage: the outermost.
        needed: how many points it is to rank.
        who: what asks for them, for the messages, e.g. "the call asks for".
        page: by how many points candidates without a limit go; `needed` if None.
    """
    page = needed if page is None else page
    together = sum(candidate.reach(page) for candidate in stage.candidates)
    if stage.candidates and together < needed:
        listed = ", ".join(brief(candidate) for candidate in stage.candidates)
        yield (
            f"{who} {needed} points, but the candidates of {type(stage).__name__} hand on {together}: "
            f"raise the limit of {listed} to {needed} or more, or ask for fewer"
        )
    for candidate in stage.candidates:
        below = candidate.needs_points(page)
        yield from shortfalls(candidate, below, f"{type(candidate).__name__} is to hand on")
