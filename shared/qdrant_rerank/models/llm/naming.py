"""What a framework's model is called: for fingerprints, without anything secret."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Mapping
from typing import Any

from ...values import is_finite

__all__ = ["model_name", "named"]

_ATTRIBUTES = ("model_name", "model", "model_id")


def model_name(model: object) -> str | None:
    """The name that a model object bears in one of the usual places, or None."""
    for attribute in _ATTRIBUTES:
        found = getattr(model, attribute, None)
        if isinstance(found, str) and found:
            return found
    try:
        found = getattr(getattr(model, "metadata", None), "model_name", None)
    except Exception:  # some LlamaIndex models refuse to describe a model that they don't know
        return None
    return found if isinstance(found, str) and found and found != "unknown" else None


def named(model: Any) -> str:
    """Class and model name, with the temperature if it has one; module and name of a function.

    What runs is not known of a lambda, a closure, a method, a partial, or an object that says no model name: these get a
    random ending, so that no two are taken for the same.
    """
    bound = getattr(model, "bound", model)  # of LangChain's `model.bind(…)` and `model.with_config(…)`
    if bound is not model:
        kwargs = getattr(model, "kwargs", {})
        return named(bound) + (_temperature(kwargs.get("temperature")) if isinstance(kwargs, Mapping) else "")
    if inspect.isroutine(model):
        known = not inspect.ismethod(model) and "<" not in model.__qualname__
        return f"{model.__module__}.{model.__qualname__}" + ("" if known else _own())
    name = model_name(model)
    of_framework = hasattr(model, "invoke") or hasattr(model, "chat")
    ending = f"/{name}" if name else "" if of_framework else _own()
    return type(model).__name__ + ending + _temperature(getattr(model, "temperature", None))


def _own() -> str:
    return f"#{secrets.token_hex(4)}"


def _temperature(value: object) -> str:
    return f"@{value:g}" if isinstance(value, int | float) and is_finite(value) else ""
