"""Searches with quick guards first, and with thorough ones where a payload turns out to need them.

A formula reads a payload value behind a condition that it is a number. A list of several numbers meets that condition and
then fails the whole query, as does a place beyond 90 and 180 degrees; more conditions, that there is just one value and that it
is on Earth, make sure, but no payload index answers the first, so that formulas take 4 to 11 times as long
(`benchmarks/formula.py --only guards`). Such values under a key that a formula takes for one value are rare. So formulas go
out with the quick guard; when an engine refuses one, it is sent again with the thorough guard, and so are all later ones of
that executor. Only an engine's word that a formula met a value which it can't read is reason to: a server that is overloaded,
or that gave a search up, says nothing of values.
"""

from __future__ import annotations

from collections.abc import Callable

from .engine_errors import read_failure
from .errors import warn
from .query import SearchOptions, Target
from .steps import Flow, Points, Request, Search

__all__ = ["SEVERAL_VALUES", "searched"]

SEVERAL_VALUES = (
    "some points of {collection!r} hold lists of several values, or places beyond 90 and 180 degrees, under a key that a "
    "formula reads as one value{key}: they count as missing, and formulas over this collection run slower from now on, as each "
    "value is looked at; store single values"
)


def searched(requests: Callable[[], list[Request]], options: SearchOptions, target: Target) -> Flow[list[Points]]:
    """The points of each request; where a formula is refused that was guarded quickly, of the same requests made anew.

    Args:
        requests: makes the requests, for the guards that the target asks for at that moment.
        scope: for the options of the search.
        target: notes that thorough guards are needed.
    """
    quick, asked = not target.thorough, requests()
    try:
        return (yield from Search(asked, options.consistency, options.timeout, target.schema))
    except Exception as error:
        if not quick or not _refused_formula(error):
            raise
        before, target.quirks.several_values = target.quirks.several_values, True
        thorough = requests()
        if thorough == asked:  # nothing in it is guarded: a plain search, or keys that are read without a default
            target.quirks.several_values = before
            raise
        try:
            found = yield from Search(thorough, options.consistency, options.timeout, target.schema)
        except Exception:
            target.quirks.several_values = before  # it was something else
            raise error from None
        key = "" if (known := read_failure(error).key) is None else f" ({known!r})"
    warn(SEVERAL_VALUES.format(collection=target.schema.collection, key=key))
    return found


def _refused_formula(error: Exception) -> bool:
    """Whether this is how an engine says that a formula met a value which it can't read."""
    return read_failure(error).shows_values
