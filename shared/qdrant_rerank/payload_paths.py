"""Payload keys of an expression that aren't paths as Qdrant reads them, with the form that is one."""

from __future__ import annotations

from collections.abc import Iterator

from .expressions.inspect import payload_keys, walk
from .expressions.nodes import Expression, Field
from .expressions.paths import path_problem, quote

__all__ = ["path_problems"]


def path_problems(expression: Expression) -> Iterator[str]:
    """What is wrong with the payload keys that an expression reads, in fields, affinities and conditions; each once."""
    fields = {node.key for node in walk(expression) if isinstance(node, Field)}
    for key in dict.fromkeys(each.key for each in payload_keys(expression)):
        if problem := path_problem(key):
            yield f"{problem}, i.e. field({quote(key)!r})" if key in fields and quote(key) else problem
