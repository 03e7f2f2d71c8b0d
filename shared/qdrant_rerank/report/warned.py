"""What must be known beside the numbers, most important first; each system's own notes, said once where all share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..evaluate import Evaluation
from ..evaluate._internals import SYNTHETIC_NOTE
from .labels import System
from .words import listed

if TYPE_CHECKING:
    from .document import Report

__all__ = ["warnings_of"]

_UNEVEN: Final = 0.1  # of the first ten results; such a gap can turn a comparison round


def warnings_of(report: Report, systems: dict[str, System]) -> tuple[str, ...]:
    """The warnings, one or two sentences each."""
    found = (
        [f"All results are {SYNTHETIC_NOTE}."]
        if any(one.synthetic for one in report.evaluations) or getattr(report.tuning, "synthetic", False)
        else []
    )
    notes: dict[str, list[str]] = {}
    for one in report.evaluations:
        for note in one.notes:
            if SYNTHETIC_NOTE not in note and note != _shallow_note(one):
                notes.setdefault(note, []).append(systems[one.name].label)
    common = [note for note, whose in notes.items() if len(whose) == len(systems)]
    own = [f"{listed(whose)}: {note}" for note, whose in notes.items() if len(whose) < len(systems)]
    return (*found, *own, *common, *_shallow(report, systems), *_judged(report, systems))


def _shallow_note(one: Evaluation) -> str:
    return f"The longest ranking has {one.coverage.depth} results, and the measures look at {one.coverage.deepest}."


def _shallow(report: Report, systems: dict[str, System]) -> list[str]:
    """The notes on short rankings as one, since they come together."""
    lengths = {one.name: one.coverage for one in report.evaluations if _shallow_note(one) in one.notes}
    if not lengths:
        return []
    found = listed([f"{systems[name].label} {coverage.depth}" for name, coverage in lengths.items()])
    return [
        f"The measures look at {max(one.deepest for one in lengths.values())} results, and some rankings end before: {found}."
    ]


def _judged(report: Report, systems: dict[str, System]) -> list[str]:
    shares = {
        systems[one.name].label: one.coverage.judged_at_10
        for one in report.evaluations
        if one.coverage.judged_at_10 is not None
    }
    if not shares:
        return []
    least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    text = "Results that nobody judged count as not relevant"
    if shares[most] - shares[least] >= _UNEVEN:
        return [
            f"{text}, which puts {least} at a disadvantage: {shares[least]:.0%} of its first 10 results were judged, against "
            f"{shares[most]:.0%} of {most}'s."
        ]
    if shares[least] >= 0.995:
        return []
    share = f"{shares[least]:.0%}" + (f" to {shares[most]:.0%}" if f"{shares[least]:.0%}" != f"{shares[most]:.0%}" else "")
    return [f"{text}: of the first 10 results, {share} were judged."]
