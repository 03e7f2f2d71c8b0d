"""LightGBM's boosters, read from the model they dump."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import StrategyError
from ..expressions import Expression, exp, sigmoid
from .columns import Columns
from .features import Category
from .refusals import refuse_classes
from .regions import Region, at_most, whole_numbers
from .trees import Leaf, Node, Split, ensemble

__all__ = ["from_lightgbm", "lightgbm_names"]

_ZERO: Final = 1e-35  # LightGBM's kZeroThreshold, a 32-bit float
_RAW: Final = frozenset(
    ["regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom", "none"]
)
_LOG: Final = frozenset(["poisson", "gamma", "tweedie"])


def lightgbm_names(booster: Any) -> list[str] | None:
    """The booster's names of its columns; None if it made them up."""
    names = list(booster.feature_name())
    return None if names == [f"Column_{number}" for number in range(len(names))] else names


def from_lightgbm(booster: Any, columns: Columns) -> Expression:
    """What `predict` gives: the regression, the probability of the second class, or a ranker's score."""
    dump = booster.dump_model()
    if dump["num_tree_per_iteration"] != 1:
        refuse_classes("LightGBM model", dump["num_tree_per_iteration"])
    reader = _Reader(_known(columns, booster.pandas_categorical))
    share = 1.0 / len(dump["tree_info"]) if dump["average_output"] else 1.0
    total = ensemble([reader.tree(tree["tree_structure"], share) for tree in dump["tree_info"]], 0.0, reader.columns)
    return _output(total, dump.get("objective", "none").split())


def _output(total: Expression, objective: list[str]) -> Expression:
    name, *options = objective
    if name in _RAW and "sqrt" not in options:
        return total
    if name in _LOG:
        return exp(total)
    if name == "cross_entropy":
        return sigmoid(total)
    if name == "binary":
        slope = next((float(option.removeprefix("sigmoid:")) for option in options if option.startswith("sigmoid:")), 1.0)
        return sigmoid(total if slope == 1.0 else total * slope)
    raise StrategyError(
        f"LightGBM's objective {' '.join(objective)!r} ends in a function that formulas don't have; "
        "fit with regression, binary, lambdarank, rank_xendcg, poisson, gamma, tweedie or cross_entropy"
    )


def _known(columns: Columns, categories: Sequence[Sequence[object]] | None) -> Columns:
    """The columns with the categories of the pandas frame that the model was trained on."""
    if not categories:
        return columns
    named = [column.name for column in columns if isinstance(column.feature, Category)]
    if len(named) != len(categories):
        raise StrategyError(
            f"the model was trained on {len(categories)} pandas categoricals "
            f"({', '.join(str(list(each)) for each in categories)}), "
            f"but the features have {len(named)} Category: {', '.join(map(repr, named)) or 'none'}"
        )
    by_name = dict(zip(named, categories, strict=True))
    return columns.now(column.knowing(by_name[column.name]) if column.name in by_name else column for column in columns)


@dataclass(frozen=True)
class _Reader:
    columns: Columns

    def tree(self, found: dict[str, Any], share: float) -> Node:
        if "leaf_value" in found:
            if "leaf_coeff" in found:
                raise StrategyError("linear trees (linear_tree=True) can't become a formula: fit with linear_tree=False")
            return Leaf(float(found["leaf_value"]) * share)
        column = int(found["split_feature"])
        region, missing_left = _decision(found)
        if found["decision_type"] == "<=" and isinstance(self.columns[column].feature, Category):
            raise StrategyError(f"{self.columns[column].name!r} is a Category, but the model was trained on it as a number")
        left, right = self.tree(found["left_child"], share), self.tree(found["right_child"], share)
        return Split(column, region, missing_left, left, right)


def _decision(found: dict[str, Any]) -> tuple[Region, bool]:
    """The numbers that go left, and whether missing ones do."""
    if found["decision_type"] == "==":
        return whole_numbers(map(int, str(found["threshold"]).split("||"))), False
    threshold, default_left = float(found["threshold"]), bool(found["default_left"])
    match found["missing_type"]:
        case "NaN":
            return at_most(threshold), default_left
        case "None":  # NaN counts as 0
            return at_most(threshold), threshold >= 0.0
        case _:  # zeros are missing too
            return _with_zeros(threshold, default_left), default_left


def _with_zeros(threshold: float, zeros_left: bool) -> Region:
    """Numbers up to the threshold, but zeros on the side of missing values."""
    low, high = math.nextafter(-_ZERO, -math.inf), _ZERO
    if zeros_left == (threshold >= 0.0):
        return at_most(threshold)
    if zeros_left:
        return Region(((-math.inf, threshold), (low, high)))
    return Region(tuple(pair for pair in ((-math.inf, low), (high, threshold)) if pair[0] < pair[1]))
