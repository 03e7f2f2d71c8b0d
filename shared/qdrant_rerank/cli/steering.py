"""What relevance feedback made of the query, as `search --explain` prints it: seeds, their scores, pairs, and the shift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from ..feedback._internals import Seed, Steering
from .consoles import results_console

__all__ = ["print_steering"]

_PAIRS_SHOWN: Final = 3
_LONGEST_TEXT: Final = 60
_LONGEST_NAME: Final = 20
_SHORTEST_TEXT: Final = 8
_HEADINGS: Final = ("first\nsearch", "seed", "feedback\nscore")


def print_steering(steering: Steering, names: Mapping[Any, str]) -> None:
    """Print what the model gave the seeds, which pairs count most, and how far the query's vector was shifted.

    Args:
        steering: of one query.
        names: what points are called in the table of results, by id; others by their id.
    """
    console = results_console()
    if steering.to_score:
        console.print()
        console.print(_seeds(steering, names, console))
    if steering.why_not:
        console.print(Text(f"The second search wasn't steered: {steering.why_not}.", "dim"))
        return
    used = [_name(seed, names) for seed in steering.used]
    for pair in steering.pairs[:_PAIRS_SHOWN]:
        apart = f"scores {pair.confidence:.3g} apart, weighs {pair.weight:.3g}"
        console.print(Text(f"towards {used[pair.better]}, away from {used[pair.worse]}: {apart}"))
    if (left := len(steering.pairs) - _PAIRS_SHOWN) > 0:
        console.print(Text(f"and {left} more pair{'' if left == 1 else 's'}", "dim"))
    if steering.cosine is not None:
        console.print(
            Text(f"The shifted vector has a cosine of {steering.cosine:.3f} with the query's (1: not shifted).", "dim")
        )


def _seeds(steering: Steering, names: Mapping[Any, str], console: Console) -> Table:
    """The seeds as a table in which only texts and very long names are cut, however narrow the terminal is."""
    rows = [(f"#{seed.rank}", _name(seed, names), _given(seed)) for seed in steering.seeds]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    left = console.width
    for number, heading in enumerate(_HEADINGS):
        widest = max(map(cell_len, [*heading.splitlines(), *(row[number] for row in rows)]))
        width = min(widest, _LONGEST_NAME)
        left -= width + 2
        justify: JustifyMethod = "left" if heading == "seed" else "right"
        table.add_column(heading, justify=justify, width=width, no_wrap=True, overflow="ellipsis", vertical="bottom")
    text = max(_SHORTEST_TEXT, min(left, _LONGEST_TEXT))
    table.add_column("text", no_wrap=True, overflow="ellipsis", max_width=text, vertical="bottom")
    for seed, row in zip(steering.seeds, rows, strict=True):
        table.add_row(*map(Text, row), Text(" ".join(seed.text.split())))
    return table


def _name(seed: Seed, names: Mapping[Any, str]) -> str:
    return names.get(seed.id, str(seed.id))


def _given(seed: Seed) -> str:
    return "not scored" if seed.score is None else f"{seed.score:.4g}"
