"""The application: which commands there are."""

from __future__ import annotations

from inspect import cleandoc
from typing import Annotated

import typer
from rich.markup import escape

from .. import __version__
from .calibrate import calibrate
from .compare import compare
from .demo import demo
from .drift import drift
from .evaluate import evaluate
from .features import features
from .fit import fit
from .index import index
from .plan import plan
from .search import search
from .tune import tune

__all__ = ["ABOUT", "COMMANDS", "app", "help_text", "paragraphs"]


def paragraphs(docstring: str | None) -> list[str]:
    """The paragraphs of a docstring, each on one line. Those that are commands start with `$ `."""
    return [" ".join(paragraph.split()) for paragraph in cleandoc(docstring or "").split("\n\n")]


def help_text(docstring: str | None) -> str:
    """A docstring as help with rich's markup: commands stand out."""
    return "\n\n".join(
        f"[cyan]{escape(paragraph)}[/cyan]" if paragraph.startswith("$ ") else escape(paragraph)
        for paragraph in paragraphs(docstring)
    )


app = typer.Typer(
    name="qdrant-rerank",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # errors are reported by `failures.reported`, and never with local variables
)
COMMANDS = demo, index, search, plan, evaluate, compare, tune, features, fit, drift, calibrate
for command in COMMANDS:
    app.command(help=help_text(command.__doc__))(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"qdrant-rerank {__version__}")
        raise typer.Exit


ABOUT = """\
    Search Qdrant with rerank strategies that run inside Qdrant: fusion, formulas, diversity, late interaction.

    See what it does:

    $ qdrant-rerank demo

    Use it on a file of your own, one JSON object a line with a "text":

    $ qdrant-rerank index corpus.jsonl --edge ./db

    $ qdrant-rerank search "how do I ...?" --edge ./db

    Each command tells more:

    $ qdrant-rerank search --help
    """


@app.callback(help=help_text(ABOUT))
def start(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """What all commands have in common."""
