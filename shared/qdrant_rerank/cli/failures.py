"""What a user reads when something goes wrong: one message, no traceback; `--debug` adds the traceback."""

from __future__ import annotations

import errno
import traceback
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import typer
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException
from rich.text import Text

from .. import PlanError, QdrantRerankError, StrategyError
from .._internals import read_failure
from ..errors import FitError, FormatError, MissingExtra
from .consoles import errors_console

_NOISE = "Payload indexes have no effect in the local Qdrant"  # they are made for the day the collection moves to a server

_WORDS: Final = {
    "with qdrant_rerank.ingest.ensure_indexes(client, collection, strategy)": "with qdrant-rerank index CORPUS.jsonl "
    "--strategy FILE, which skips documents that are there",
    "give run_file= to keep answers": "--resume FILE keeps answers",
    "on_error='count' counts": "--count-failures counts",
    "cache= keeps": "--keep FILE keeps",
    "give cache= to keep scores": "--cache FILE keeps scores",
    "with path= each": "with --output NAME.jsonl each",
    "the same call": "the same command",
    "the retriever's fixed_filter": "--filter",
    "measures= is empty": "--measure is empty",
    "batch_size must": "--batch must",
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

    Exit codes: 2 for what the user can mend, 1 for an error that nobody foresaw, 130 after an interruption.
    """
    with _plain_warnings():
        try:
            yield
        except KeyboardInterrupt:
            errors_console().print("interrupted", style="yellow")
            raise typer.Exit(130) from None
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


@contextmanager
def hint_at_resuming(file: Path | None, what: str, otherwise: str = "") -> Generator[None, None, None]:
    """Say how to go on after an interruption, or a failure that another try may get past.

    Args:
        file: keeps what there is so far, if anything does.
        what: is in it, e.g. "the answers".
        otherwise: what to say where there is no file.
    """
    try:
        yield
    except (FormatError, StrategyError, PlanError, FitError, MissingExtra):  # the same command would end the same way
        raise
    except BaseException:
        if file is not None and file.exists():
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
    """What to tell the user about `error`; None if it is none that we know."""
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
        return "Cohere refuses access: set the environment variable CO_API_KEY to a key that it accepts"
    if module == "cohere" and status is not None:
        return f"Cohere answers {status}: {getattr(error, 'body', '')}"[:1000] + notes
    return f"no answer from the model ({kind}: {error}){notes}" if module == "httpx" else None


def _option_for(message: str) -> str:
    """What to do on the command line where the message speaks of Python."""
    options = {
        "params={": "--params '{\"NAME\": …}'",
        "Rerank reads": "--rerank-limit N says how many the model reads",
        "payload=PayloadMapping(": "--text-key KEYS",
        "Formula.load(path, checked=False)": "--unchecked",
        "nevertheless with trust=True": "--unchecked",
    }
    found = [option for written, option in options.items() if written in message]
    return f"\non the command line: {', '.join(found)}" if found else ""


def _of_an_engine(error: Exception) -> str | None:
    """The message for an error of qdrant-client, gRPC or httpx: what the server says in full, and what is noted of it."""
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
    """Warnings for users on one line each, without file and line of our code."""

    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if str(message) in shown:  # commands plan before they search, and both tell
            return
        shown.add(str(message))
        errors_console().print(Text.assemble(("warning: ", "bold yellow"), (say_on_command_line(str(message)), "yellow")))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.filterwarnings("ignore", message=f".*{_NOISE}")
        warnings.showwarning = show
        yield
