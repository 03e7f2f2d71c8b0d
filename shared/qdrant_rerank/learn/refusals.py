"""What no importer takes: several classes or outputs at once."""

from __future__ import annotations

from typing import Any

from .. import StrategyError

__all__ = ["check_binary", "check_one_output", "refuse_classes"]


def check_binary(model: Any) -> None:
    """Refuse classifiers of more or fewer than two classes."""
    classes = list(model.classes_)
    if len(classes) != 2:
        refuse_classes(type(model).__name__, len(classes))


def refuse_classes(kind: str, count: int) -> None:
    """Refuse a classifier of `count` classes."""
    raise StrategyError(
        f"this {kind} tells {count} classes apart, and a formula is one number: fit it on two (relevant or not), "
        "or fit a regressor or ranker on the grades"
    )


def check_one_output(model: Any) -> None:
    """Refuse models that predict several numbers at once."""
    outputs = getattr(model, "n_outputs_", 1)
    if outputs != 1:
        raise StrategyError(
            f"this {type(model).__name__} predicts {outputs} outputs, and a formula is one number: fit one each"
        )
