"""How many points a stage ranks, hands on, and needs from the stages below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .values import brief

CANDIDATES = 100
"""How many points a candidate stage fetches when its `limit` isn't set (Qdrant's own default is the root's limit,
which leaves a rescoring nothing to choose from)."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Limits:
    """A stage as far as numbers of points go; a stage that ranks other numbers overrides these.

    It ranks its candidates' points; its limit is how many it hands on, None for as many as its place asks for.
    """

    candidates: tuple[Limits, ...] = ()
    limit: int | None = None

    def shortfalls(self, needed: int, who: str, page: int | None = None) -> Iterator[str]:
        """Stages, from this one down, whose candidates hand on fewer points than the stage is to rank; `needed` for this one.

        `who` asks for them, in messages, e.g. "the call asks for". Candidates without a limit go by `page`, else by `needed`.
        """
        page = needed if page is None else page
        together = sum(candidate.reach(page) for candidate in self.candidates)
        if self.candidates and together < needed:
            listed = ", ".join(brief(candidate) for candidate in self.candidates)
            yield (
                f"{who} {needed} points, but the candidates of {type(self).__name__} hand on {together}: "
                f"raise the limit of {listed} to {needed} or more, or ask for fewer"
            )
        for candidate in self.candidates:
            yield from candidate.shortfalls(candidate.needs_points(page), f"{type(candidate).__name__} is to hand on")

    def needs_points(self, needed: int) -> int:
        """How many points this stage's candidates must find, if the stage above ranks `needed`."""
        return self.limit if self.limit is not None else needed

    def reach(self, needed: int) -> int:
        """How many points this stage hands to one that ranks `needed`: its limit, else all that it has, else 100."""
        if self.limit is not None:
            return self.limit
        found = sum(candidate.reach(needed) for candidate in self.candidates)
        return max(needed, found or CANDIDATES)

    def whole(self, needed: int) -> int:
        """How many points its ranking can hold, if it is to rank `needed`: all that its candidates hand on."""
        return sum(candidate.reach(needed) for candidate in self.candidates) or needed

    def holds_all(self, found: int, needed: int) -> bool:
        """Whether a ranking of `found` points holds all that there are: some candidate stage found fewer than it hands on."""
        return found < max((candidate.reach(needed) for candidate in self.candidates), default=needed)

    def fill_limits(self, limit: int) -> str:
        """As of every strategy: its text with all limits written out."""
        return repr(self._fill_limits(limit))

    def _fill_limits(self, needed: int, root: bool = True) -> Limits:
        inner = needed if root else self.needs_points(needed)
        candidates = tuple(candidate._fill_limits(inner, root=False) for candidate in self.candidates)
        return replace(self, limit=None if root else self.reach(needed), candidates=candidates)
