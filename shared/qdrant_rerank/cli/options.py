"""How commands get their options: `option` makes one, a dataclass groups those that several commands share.

An option stands where a parameter's default does: `k: int = option("-k N", "How many results.", 5)`. A group of options is a
frozen dataclass whose fields are made so; a command with a parameter of its type has all of its options, but those that
`Annotated[Group, without("k")]` leaves out. `command` makes of such a function one that typer understands.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, get_args, get_type_hints

import typer
from pydantic import ValidationError
from qdrant_client import models

from .. import SearchOptions
from .._internals import clip_text, line_of, parse_json, read_text
from ..errors import FormatError
from .output import CommandError, report_errors


def option(
    flags: str, help: str, default: Any = None, *, shows: str | None = None, panel: str | None = None, **more: Any
) -> Any:
    """Make an option of a command or of a group.

    Args:
        flags: its names, and what stands for its value: "--collection -c NAME". A switch has none.
        help: what it is for.
        default: its value where it isn't given; `...` if it must be.
        shows: the default in the help, if that isn't the value.
        panel: its part of the help, if that isn't its group's.
        more: as `typer.Option` takes it.
    """
    words = flags.split()
    names = [word for word in words if word.startswith("-")]
    more |= {"metavar": " ".join(words[len(names) :]), "help": help, "show_default": shows or True, "rich_help_panel": panel}
    return _field(names[0], typer.Option(*names, **more), default)


def argument(metavar: str, help: str, default: Any = ...) -> Any:
    """Make an argument; it must be given unless it has a default."""
    return _field(metavar, typer.Argument(metavar=metavar, help=help, show_default=False), default)


def _field(flag: str, info: Any, default: Any) -> Any:
    default = dataclasses.MISSING if default is ... else default
    return dataclasses.field(default=default, metadata={"typer": info, "flag": flag})


def flags_of(group: Any, *left_out: str) -> list[str]:
    """The flags of the options that were given, without these fields."""
    fields = [each for each in dataclasses.fields(group) if "flag" in each.metadata and each.name not in left_out]
    return [each.metadata["flag"] for each in fields if getattr(group, each.name) != each.default]


def refuse_unused(flags: list[str], why: str) -> None:
    """Refuse options that were given and have no effect."""
    if flags:
        raise CommandError(f"{' and '.join(flags)} {'has' if len(flags) == 1 else 'have'} no effect here: {why}")


def without(*names: str) -> frozenset[str]:
    """The fields of a group that aren't options of a command: `Annotated[Group, without("k")]`."""
    return frozenset(names)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose parameters are options, arguments and groups of them.

    It has `--debug`, too. Its errors and warnings are messages for people, see `failures.report_errors`.
    """
    hints = get_type_hints(function, include_extras=True)
    parts = {name: _options(name, hints[name], each.default) for name, each in inspect.signature(function).parameters.items()}
    debug = _parameter("debug", bool, option("--debug", "Show where an error came from.", False))

    @wraps(function)
    def run(**given: Any) -> None:
        with report_errors(debug=given["debug"]):
            function(**{name: part.value(given) for name, part in parts.items()})

    shown = [each for part in parts.values() for each in part.parameters]
    run.__dict__["__signature__"] = inspect.Signature([*shown, debug])
    run.__annotations__ = {}  # typer would read those of the function
    return run


@dataclass(frozen=True)
class _Part:
    """A parameter of a command's function, the parameters that typer sees in its place, and the fields that they fill."""

    parameters: list[inspect.Parameter]
    group: Callable[..., Any] | None
    fields: list[str]

    def value(self, given: dict[str, Any]) -> Any:
        values = [given[each.name] for each in self.parameters]
        return values[0] if self.group is None else self.group(**dict(zip(self.fields, values, strict=True)))


def _options(name: str, hint: Any, default: Any) -> _Part:
    if isinstance(default, dataclasses.Field):
        return _Part([_parameter(name, hint, default)], None, [])
    group, left_out = get_args(hint) or (hint, frozenset())
    types = get_type_hints(group)
    fields = [each for each in dataclasses.fields(group) if "typer" in each.metadata and each.name not in left_out]
    panel = getattr(group, "panel", None)
    parameters = [_parameter(f"{name}_{each.name}", types[each.name], each, panel) for each in fields]
    return _Part(parameters, group, [each.name for each in fields])


def _parameter(name: str, kind: Any, field: dataclasses.Field[Any], panel: str | None = None) -> inspect.Parameter:
    info = copy(field.metadata["typer"])
    info.rich_help_panel = info.rich_help_panel or panel
    default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


OUTPUT: Final = "What to print and keep"
JSON: Final = option("--json", "All of it as one JSON object, for other programs.", False, panel=OUTPUT)


@dataclass(frozen=True)
class ResultOptions:
    """Which of the points are results."""

    panel: ClassVar = "Which points"

    k: int = option("-k N", "How many results.", 5)
    filter: str | None = option(
        "--filter JSON",
        "Only points that meet Qdrant's filter, e.g. "
        '\'{"must": [{"key": "town", "match": {"value": "Orvena"}}]}\'; @FILE reads it from a file.',
    )
    score_threshold: float | None = option("--score-threshold X", "Only results whose final score reaches it.")
    group_by: str | None = option("--group-by KEY", "At most one result for each value of this payload key.")

    def options(self, **more: Any) -> SearchOptions:
        """The search's options, and `more` of them."""
        return SearchOptions(
            limit=self.k,
            filter=parse_filter(self.filter),
            score_threshold=self.score_threshold,
            group_by=self.group_by,
            **more,
        )


# What an option holds: JSON, as text or @FILE, and lists


def parse_filter(text: str | None) -> models.Filter | None:
    """Read the filter that `--filter` holds."""
    if text is None:
        return None
    source, where = _source("--filter", text)
    value = _parse(source, where)
    try:
        return models.Filter.model_validate(value)
    except ValidationError as error:
        problem = max(error.errors(), key=lambda problem: len(problem["loc"]))  # the deepest reading came closest
        path = tuple(part for part in problem["loc"] if isinstance(part, int) or part in source)
        place = ".".join(map(str, path)) or "the top"
        raise CommandError(
            f"{where}:{line_of(source, path)} isn't a filter of Qdrant's: at {place}: {problem['msg']}; a filter looks like "
            '{"must": [{"key": "town", "match": {"value": "Orvena"}}]}'
        ) from None


def parse_params(text: str | None) -> dict[str, Any]:
    """Read the request-time values that `--params` holds, by name."""
    if text is None:
        return {}
    source, where = _source("--params", text)
    value = _parse(source, where)
    if not isinstance(value, dict):
        raise CommandError(f"{where} must be a JSON object, name → value, e.g. '{{\"budget\": 20}}'; got {json.dumps(value)}")
    return value


def _source(option: str, text: str) -> tuple[str, str]:
    """The JSON text, and its name in messages."""
    return (read_text(text[1:]), text[1:]) if text.startswith("@") else (text, option)


def _parse(source: str, where: str) -> Any:
    if not source.strip():
        raise CommandError(f"{where} is empty: give a JSON object")
    try:
        return parse_json(source)
    except FormatError as error:
        line = error.line or 1
        message = re.sub(r" \((column \d+)\)$", r" at \1", error.message.removeprefix("not JSON: "))
        shown = clip_text(source.split("\n")[line - 1], 200)
        raise CommandError(f"{where}:{line} isn't JSON: {message}: {shown}") from None


def split_list(text: str | None) -> list[str]:
    """The parts of an option, between commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


# Files that a command writes, checked before the work


def check_output(option: str, path: Path | None) -> None:
    """Refuse a file that can't be written."""
    if path is None:
        return
    if path.is_dir():
        raise CommandError(f"{option} {path}: this is a folder: name a file in it")
    if not path.parent.is_dir():
        raise CommandError(f"{option} {path}: there is no folder {str(path.parent)!r} to write it to")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CommandError(f"{option} {path}: it may not be written to")


def check_folder(option: str, path: Path | None) -> None:
    """Refuse a folder that can't be made, or written to."""
    if path is None:
        return
    there = next(part for part in (path.absolute(), *path.absolute().parents) if part.exists())
    if not there.is_dir():
        raise CommandError(f"{option} {path}: {there} is a file: name a folder")
    if not os.access(there, os.W_OK):
        raise CommandError(f"{option} {path}: {there} may not be written to")
