"""Help as it is written in docstrings, made ready for the terminal."""

from __future__ import annotations

from inspect import cleandoc

from rich.markup import escape

__all__ = ["help_text", "paragraphs"]


def paragraphs(docstring: str | None) -> list[str]:
    """The paragraphs of a docstring, each on one line. Those that are commands start with `$ `."""
    return [" ".join(paragraph.split()) for paragraph in cleandoc(docstring or "").split("\n\n")]


def help_text(docstring: str | None) -> str:
    """A docstring as help with rich's markup: commands stand out."""
    return "\n\n".join(
        f"[cyan]{escape(paragraph)}[/cyan]" if paragraph.startswith("$ ") else escape(paragraph)
        for paragraph in paragraphs(docstring)
    )
