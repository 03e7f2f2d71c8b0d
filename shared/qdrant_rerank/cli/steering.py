"""What relevance feedback made of the query, as `search --explain` prints it: seeds, their scores, pairs, and the shift."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from ..feedback.steering import Seed, Steering
from .consoles import results_console

__all__ = ["print_steering"]

_PAIRS_SHOWN: Final = 3
_LONGEST_TEXT: Final = 60


def print_steering(steering: Steering) -> None:
    """Print what the model gave the seeds, which pairs count most, and how far the query's vector was shifted."""
    console = results_console()
    if steering.to_score:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("first search", justify="right")
        table.add_column("seed")
        table.add_column("feedback score", justify="right")
        table.add_column("text", no_wrap=True, overflow="ellipsis", max_width=_LONGEST_TEXT)
        for seed in steering.seeds:
            table.add_row(f"#{seed.rank}", Text(str(seed.id)), _given(seed), Text(" ".join(seed.text.split())))
        console.print()
        console.print(table)
    if steering.why_not:
        console.print(Text(f"The second search wasn't steered: {steering.why_not}.", "dim"))
        return
    used = steering.used
    for pair in steering.pairs[:_PAIRS_SHOWN]:
        better, worse = used[pair.better].id, used[pair.worse].id
        console.print(
            Text(f"towards {better}, away from {worse}: scores {pair.confidence:.3g} apart, weighs {pair.weight:.3g}")
        )
    if (left := len(steering.pairs) - _PAIRS_SHOWN) > 0:
        console.print(Text(f"and {left} more pair{'' if left == 1 else 's'}", "dim"))
    if steering.cosine is not None:
        console.print(
            Text(f"The shifted vector has a cosine of {steering.cosine:.3f} with the query's (1: not shifted).", "dim")
        )


def _given(seed: Seed) -> str:
    return "not scored" if seed.score is None else f"{seed.score:.4g}"
