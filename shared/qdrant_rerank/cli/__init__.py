"""The command `qdrant-rerank`: index a corpus, search it, see what a plan sends, measure and tune it.

The only part of the package that uses typer and rich, which `pip install 'qdrant-rerank[cli]'` brings.
"""

from __future__ import annotations

import sys

from ..errors import MissingExtra

__all__ = ["main"]

_MORE = "That is added to what is installed, from a clone too. [all] in the place of [cli] brings what each command needs."


def main() -> None:
    """Run the command line; the process's arguments are its input and its exit code is the result."""
    try:
        import rich.text  # noqa: F401  # pyright: ignore[reportUnusedImport]  # typer does without it, our commands don't

        from .app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        print(MissingExtra("the command qdrant-rerank", "cli"), _MORE, sep="\n", file=sys.stderr)
        raise SystemExit(1) from None
    app(prog_name="qdrant-rerank")
