"""Where output goes: results to standard output, everything about the run to standard error."""

from __future__ import annotations

from rich.console import Console

__all__ = ["errors_console", "results_console"]


def results_console() -> Console:
    """A console for results; without colours where the output isn't a terminal."""
    return Console(highlight=False)


def errors_console() -> Console:
    """A console for messages, warnings and progress. Long lines are left to the terminal, so that paths stay whole."""
    return Console(stderr=True, highlight=False, soft_wrap=True)
