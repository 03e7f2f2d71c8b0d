"""Laying a page out: the templates, and what keeps texts from being taken for markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtra
from .page import page_of

if TYPE_CHECKING:
    from .document import Report

__all__ = ["html", "markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]|~#$])")


def html(report: Report) -> str:
    """The report as an HTML page; every text is escaped by jinja2."""
    environment = _environment(autoescape=True)
    return str(environment.get_template("report.html.j2").render(page=page_of(report, draw=True)))


def markdown(report: Report) -> str:
    """The report as Markdown; every value is escaped by `_plain`, as `finalize` is called for each."""
    environment = _environment(autoescape=False, finalize=_plain)
    text = str(environment.get_template("report.md.j2").render(page=page_of(report, draw=False)))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _plain(value: Any) -> str:
    """A value as Markdown that shows it and does nothing else, on one line."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def _environment(**settings: Any) -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("a report", "learn") from error
    return jinja2.Environment(
        loader=jinja2.PackageLoader("qdrant_rerank.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **settings,
    )
