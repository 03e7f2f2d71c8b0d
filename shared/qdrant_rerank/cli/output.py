"""What a user reads: results on standard output; progress, warnings and errors on standard error, without tracebacks.

What is printed of documents, ids, payloads and servers' errors is foreign text: control characters in it (which can clear the
screen, set the title or write the clipboard) are shown as `\\x1b`, and nothing in it is taken for markup. Output as JSON is
exact.
"""

from __future__ import annotations

import errno
import re
import signal
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import typer
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from .. import PlanError, QdrantRerankError, StrategyError
from .._internals import read_failure
from ..errors import FitError, FormatError, MissingExtra

_UNSEEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing round."""


def results_console() -> Console:
    """A console for results; colours are for terminals."""
    return _escape_output(Console(highlight=False, markup=False, emoji=False))


def errors_console() -> Console:
    """A console for messages, warnings and progress; the terminal folds long lines, so that paths stay whole."""
    return _escape_output(Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True))


def visible(text: str) -> str:
    """The text with every control character written out: `\\x1b`, `\\u202e`."""
    return _UNSEEN.sub(lambda found: f"\\x{ord(found[0]):02x}" if found[0] < "\u0100" else f"\\u{ord(found[0]):04x}", text)


def _escape_output(console: Console) -> Console:
    console.push_render_hook(_Escape())
    return console


class _Escape(RenderHook):
    """Makes all that is printed visible."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Escaped(renderable) for renderable in renderables]


@dataclass(frozen=True)
class _Escaped:
    """What is printed, with the control characters of its text written out; styles aren't text yet."""

    renderable: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def make_table(*headings: str, text: int = 1) -> Table:
    """A table without a frame, whose first `text` columns hold texts and the others numbers."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings[:text]:
        table.add_column(heading, overflow="fold")
    for heading in headings[text:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def show_table(console: Console, table: Table) -> None:
    """Print a table; where the console is too narrow for its numbers, each row as a list of headings and cells."""
    whole = ((column.header, *column.cells) for column in table.columns)
    columns = [[cell.plain if isinstance(cell, Text) else str(cell) for cell in column] for column in whole]
    widest = [max(map(cell_len, column)) for column in columns]
    needed = sum(w if column.no_wrap else min(w, _FOLDED) for w, column in zip(widest, table.columns, strict=True))
    if needed + len(columns) - 1 <= console.width:
        console.print(table)
        return
    (_, *headings), *rows = zip(*columns, strict=True)
    for first, *cells in rows:
        console.print(Text(first, "bold"))
        pairs = (f"{heading} {cell}".strip() for heading, cell in zip(headings, cells, strict=True) if cell)
        console.print(Padding(Text(", ".join(pairs)), (0, 0, 0, 2)))


_FOLDED: Final = 12
"""How narrow a column of texts may become."""


class Tell(Protocol):
    """Takes how far the work is, and perhaps a note on it."""

    def __call__(self, done: int, total: int | None = ..., note: str = ..., /) -> None: ...


class ProgressLines:
    """Tells progress by a line every 15 seconds, where a bar can't be drawn: in logs, in CI."""

    def __init__(self, console: Console, name: str, total: int | None = None, seconds: float = 15.0) -> None:
        self._console, self._name, self._total, self._seconds = console, name, total, seconds
        self._next = time.monotonic() + seconds

    def __call__(self, done: int, total: int | None = None, note: str = "", /) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._seconds
        of = total or self._total
        self._console.print(Text(f"{visible(self._name)}: {done:,}{'' if of is None else f' of {of:,}'}"))


@contextmanager
def show_progress(name: str, total: int | None = None, has_notes: bool = False) -> Generator[Tell, None, None]:
    """Show a progress bar, or lines without a terminal, and yield what sets it; its end is the time left, or a note."""
    console = errors_console()
    if not console.is_terminal:
        yield ProgressLines(console, name, total)
        return
    end = TextColumn("{task.fields[note]}") if has_notes else TimeRemainingColumn()
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), end
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(visible(name), total=total, note="")
        yield lambda done, total=None, note="", /: bar.update(task, completed=done, total=total, note=note)


# Errors and warnings

_NOISE = "Payload indexes have no effect in the local Qdrant"  # they are made for the day the collection moves to a server

_WORDS: Final = {
    "with qdrant_rerank.ingest.ensure_indexes(client, collection, strategy)": "with qdrant-rerank index --strategy FILE, "
    "without a corpus",
    "give run_file= to keep answers": "--resume FILE keeps answers",
    "on_error='count' counts": "--count-failures counts",
    "cache= keeps": "--resume FILE keeps",
    "give cache= to keep scores": "--resume FILE keeps scores",
    "with path= each": "with --output NAME.jsonl each",
    "the same call": "the same command",
    "compare(…) of two": "the command compare of two",
    "the retriever's fixed_filter": "--filter",
    "measures= is empty": "--measure is empty",
    "batch_size must": "--batch-size must",
    "retries must": "--retries must",
    "concurrency must": "--concurrency must",
    "splits must": "--splits must",
    "sample must": "--sample must",
    ": QdrantClient(api_key=…)": "",
    " (timeout=)": "",
    "or let retries= do so": "or let --retries N do so",
    "To wait for a server that starts: retries=": "To wait for a server that starts: --retries N",
}
"""What messages say to do in Python, and what does the same on the command line."""


class CommandError(QdrantRerankError):
    """The command line asks for something that can't be: options that exclude each other, JSON that isn't."""


@contextmanager
def report_errors(debug: bool) -> Generator[None, None, None]:
    """Report a command's errors and warnings as messages for people; with `debug`, the traceback too.

    Exit codes: 2 for what the user can mend, 1 for an error that nobody foresaw, 130 after an interruption, 143 and 129 after
    SIGTERM and SIGHUP where a command can go on.
    """
    with _plain_warnings():
        try:
            yield
        except KeyboardInterrupt as error:
            errors_console().print("interrupted", style="yellow")
            raise typer.Exit(128 + (error.number if isinstance(error, _Ended) else signal.SIGINT)) from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of our output left; typer ends quietly
            _report(error, debug)
            raise typer.Exit(1 if message_of(error) is None else 2) from None


def say_on_command_line(message: str) -> str:
    """The message, with commands for the Python calls that it recommends."""
    for python, command in _WORDS.items():
        message = message.replace(python, command)
    return message


class _Ended(KeyboardInterrupt):
    """The process is told to end: by `docker stop`, `timeout`, a terminal that closes."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def _catch_signals() -> Generator[None, None, None]:
    """Have signals that would end the process in silence interrupt it, as Ctrl+C does; those that someone handles stay."""

    def end(number: int, frame: object) -> None:
        raise _Ended(number)

    wanted = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))  # Windows has no SIGHUP
    in_main = threading.current_thread() is threading.main_thread()  # no other thread may set handlers
    caught = [each for each in wanted if in_main and each is not None and signal.getsignal(each) is signal.SIG_DFL]
    for each in caught:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in caught:
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def hint_at_resuming(
    file: Path | None = None, what: str = "", otherwise: str = "", stored: Counter[str] | None = None
) -> Generator[None, None, None]:
    """Say how to go on after an interruption or a failure, if there is anything to go on from.

    That is `what` is in the file, or what was counted as `stored` in Qdrant meanwhile; `otherwise` is said without a file.
    """
    try:
        with _catch_signals():
            yield
    except (FormatError, StrategyError, PlanError, FitError, MissingExtra):
        raise  # the same command would end the same way
    except BaseException:
        if stored is not None and stored.total():
            errors_console().print(Text("what is stored stays: the same command goes on from there", "yellow"))
        elif file is not None:
            if file.exists():
                errors_console().print(Text(f"{what} so far are in {file}: the same command goes on from there", "yellow"))
        elif otherwise:
            errors_console().print(Text(otherwise, "yellow"))
        raise


def _report(error: Exception, debug: bool) -> None:
    console = errors_console()
    if debug:
        console.print(Text("".join(traceback.format_exception(error)).rstrip()))
    message = message_of(error)
    if message is None:
        lines = [f"unexpected {type(error).__name__}: {error}", *map(say_on_command_line, getattr(error, "__notes__", ()))]
        message = "\n".join(lines if debug else [*lines, "--debug shows where it came from"])
    console.print(Text.assemble(("error: ", "bold red"), (message, "red")))


def message_of(error: Exception) -> str | None:
    """What to tell the user about `error`; None if it is unknown."""
    match error:
        case PlanError(problems=problems) if len(problems) > 1:
            return say_on_command_line("\n".join(["several problems:", *(f"  - {problem}" for problem in problems)]))
        case QdrantRerankError():
            return say_on_command_line(str(error)) + _option_for(str(error))
        case OSError(filename=str(filename), strerror=str(reason)):
            return f"{filename}: {reason}"
        case UnicodeDecodeError():
            return f"a file isn't UTF-8 text: {error}"
        case _:
            return _of_a_model(error) or _of_an_engine(error)


def _of_a_model(error: Exception) -> str | None:
    """The message for an error of a model's API: the SDK's own, or a connection's."""
    module, kind = type(error).__module__.partition(".")[0], type(error).__name__
    status = getattr(error, "status_code", None)
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    if module == "cohere" and status in (401, 403):
        return "Cohere refuses access: set the environment variable CO_API_KEY or COHERE_API_KEY to a key that it accepts"
    if module == "cohere" and status is not None:
        return f"Cohere answers {status}: {getattr(error, 'body', '')}"[:1000] + notes
    return f"no answer from the model ({kind}: {error}){notes}" if module == "httpx" else None


def _option_for(message: str) -> str:
    """What to do on the command line where the message speaks of Python."""
    options = {
        "params={": "--params '{\"NAME\": …}'",
        "Rerank reads": "--reads N says how many the model reads",
        "payload=PayloadMapping(": "--text-key KEYS",
        "Formula.load(path, checked=False)": "--unchecked",
        "nevertheless with trust=True": "--unchecked",
    }
    found = [option for written, option in options.items() if written in message]
    return f"\non the command line: {', '.join(found)}" if found else ""


def _of_an_engine(error: Exception) -> str | None:
    """The message for an error of qdrant-client, gRPC or httpx: what the server says in full, and the error's notes."""
    failure, notes = read_failure(error), getattr(error, "__notes__", ())
    if failure.status is None and not isinstance(error, ApiException | QdrantException):
        return None
    lines = [f"Qdrant answers {failure.status}: {failure.message}" if failure.status else failure.message]
    lines += [say_on_command_line(note.replace(f"Qdrant says: {failure.message}\n", "")) for note in notes]
    if failure.kind in ("unauthorized", "forbidden"):
        lines.insert(0, "Qdrant refuses access: set the environment variable QDRANT_API_KEY to a key that it accepts")
    return "\n".join(line for line in lines if line)


@contextmanager
def _plain_warnings() -> Generator[None, None, None]:
    """Show each warning once, on one line, without file and line of our code."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if str(message) in shown:  # commands plan before they search, and both warn
            return
        shown.add(str(message))
        errors_console().print(Text.assemble(("warning: ", "bold yellow"), (say_on_command_line(str(message)), "yellow")))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.filterwarnings("ignore", message=f".*{_NOISE}")
        warnings.showwarning = show
        yield
