"""The command line's reference, as Markdown, made from what the commands say of themselves.

`python scripts/cli_reference.py > docs/cli.md` writes it; a test checks that it is up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qdrant_rerank.cli._internals import ABOUT, COMMANDS, build_command, load_command, paragraphs

_HEAD = """\
<!-- Written by `python scripts/cli_reference.py > docs/cli.md`; change the help in the code instead. -->

# The command line

`pip install 'qdrant-rerank[cli,edge]'` brings the command `qdrant-rerank`; with `[fastembed]` it runs embedding models.

It reads these variables of the environment:

- `QDRANT_URL`: a server, for commands that get none of `--edge`, `--path` and `--url`.
- `QDRANT_API_KEY`: the key of that server.
- `CO_API_KEY` or `COHERE_API_KEY`: the key of Cohere, for their models.
- `CO_API_URL`: the address of your own deployment of Cohere.
- `QDRANT_RERANK_MCP_TOKEN`: the token that clients of `mcp --http` must send.

No key is ever shown. Results go to standard output; messages, warnings and progress to standard error.

Exit codes: 0 for success, 2 for an error that you can mend, 3 where something was measured and is not as good as it should be,
130, 143 and 129 for a command that an interruption, SIGTERM or SIGHUP ended, 1 for any other error.
"""


def reference() -> str:
    """The whole reference."""
    parts = [_HEAD, *_prose(ABOUT)]
    for name in COMMANDS:
        parts += [f"## {name}\n", *_prose(load_command(name).__doc__), *_options(build_command(name))]
    return "\n".join(parts)


def _prose(docstring: str | None) -> Iterator[str]:
    for paragraph in paragraphs(docstring):
        yield f"```sh\n{paragraph.removeprefix('$ ')}\n```\n" if paragraph.startswith("$ ") else f"{paragraph}\n"


def _options(command: Any) -> Iterator[str]:
    """The arguments and options as tables, by the panels of the help."""
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        panels.setdefault(parameter.rich_help_panel or "", []).append(parameter)
    for panel, parameters in panels.items():
        rows = [f"| {_names(each)} | {_says(each)} |" for each in parameters]
        yield "\n".join([f"| {panel or 'argument or option'} | |", "|---|---|", *rows]) + "\n"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"{names} `{_cell(parameter.metavar)}`" if parameter.metavar else names


def _says(parameter: Any) -> str:
    text = _cell(parameter.help or "")
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    return (
        text
        if default in (None, False) or callable(default) or parameter.required
        else f"{text} Default: {str(default).removesuffix('.')}."
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
