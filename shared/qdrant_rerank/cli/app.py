"""The application: which commands there are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from .. import __version__


def paragraphs(docstring: str | None) -> list[str]:
    """The paragraphs of a docstring, each on one line. Those that are commands start with `$ `."""
    return [" ".join(paragraph.split()) for paragraph in cleandoc(docstring or "").split("\n\n")]


def help_text(docstring: str | None) -> str:
    """A docstring as help with rich's markup: commands stand out."""
    return "\n\n".join(
        f"[cyan]{escape(paragraph)}[/cyan]" if paragraph.startswith("$ ") else escape(paragraph)
        for paragraph in paragraphs(docstring)
    )


TASKS: Final = {
    "Start": {
        "demo": "See what each strategy changes: plain search, hybrid, formula and MMR, side by side, with what they cost.",
        "index": "Put documents into a collection, which is made if it isn't there.",
        "add-vectors": "Give the points of a collection that is there further vectors, e.g. for keyword search.",
        "schema": "Show which payload keys the points have: types, how many points have them, indexes, "
        "ranges, frequent values.",
    },
    "Search": {
        "search": "Search a collection, and rank what is found by a strategy that Qdrant runs, in one request, or by a model.",
        "plan": "Show what a strategy will ask of Qdrant, without searching.",
        "mcp": "Serve a collection to agents as tools: search, explain, schema, over the Model Context Protocol.",
    },
    "Measure": {
        "evaluate": "Measure how good a strategy's results are, by judgments of documents, and what a query costs.",
        "compare": "Compare strategies, and runs of other systems, with a baseline, on the same topics and judgments.",
        "tune": "Find out which strategy to use on a collection, by judgments of documents; or that the default is as good.",
    },
    "Learn": {
        "features": "Log what a formula would see of each candidate of each judged topic, for `fit`.",
        "fit": "Learn weights from logged features: a formula that gives the probability of relevance.",
        "drift": "Tell whether a collection's values have moved away from those that a ranker was trained on.",
        "calibrate": "Fit relevance feedback to a collection and a model, and find out whether it is worth using.",
    },
}
"""Each command by its task, as the help shows them, and the first sentence of its help.

A command's function has `run_` before its name (`_` for `-`), in the module of that name or of `_BESIDE`.
"""
COMMANDS: Final = {name: summary for commands in TASKS.values() for name, summary in commands.items()}
_LEARN: Final = dict.fromkeys(("features", "fit", "drift"), "learn")
_BESIDE: Final = {"add-vectors": "index", "compare": "evaluate", "plan": "search", "schema": "index", **_LEARN}
"""Commands that stand in a module of another name."""


_NARROW: Final = 60


class _NarrowCommand(TyperCommand):
    """Has the help of each option below its name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                name, text = record
                formatter.write_paragraph()
                formatter.write_text(name)
                with formatter.indentation():
                    formatter.write_text(text)


class _Commands(TyperGroup):
    """Loads a command when it is asked for, so that help comes at once."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, known, rest = super().resolve_command(ctx, args)
        return name, build_command(str(name)) if known else None, rest


def load_command(name: str) -> Callable[..., None]:
    """Load a command's function."""
    module = import_module(f".{_BESIDE.get(name, name)}", __package__)
    function: Callable[..., None] = getattr(module, f"run_{name.replace('-', '_')}")
    return function


def build_command(name: str) -> Any:
    """Load a command as typer runs it, with its whole help."""
    function = load_command(name)
    if (columns := shutil.get_terminal_size().columns) < _NARROW:  # where the three columns of panels would clip words
        plain: dict[str, Any] = {**_SETTINGS, "rich_markup_mode": None}
        alone, text = typer.Typer(**plain), "\n\n".join(paragraphs(function.__doc__))
        alone.command(name, cls=_NarrowCommand, help=text, context_settings={"terminal_width": columns})(function)
    else:
        alone = typer.Typer(**_SETTINGS)
        alone.command(name, help=help_text(function.__doc__))(function)
    return typer.main.get_command(alone)


# errors are reported by `failures.report_errors`, and never with local variables
_SETTINGS: Final[dict[str, Any]] = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
}
app = typer.Typer(name="qdrant-rerank", cls=_Commands, no_args_is_help=True, **_SETTINGS)
for task, commands in TASKS.items():
    for name, summary in commands.items():
        app.command(name, help=help_text(summary), rich_help_panel=task)(lambda: None)


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
