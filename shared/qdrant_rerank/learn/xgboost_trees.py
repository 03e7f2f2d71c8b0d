"""XGBoost's boosters, read from the JSON that they save."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from .. import StrategyError
from ..expressions import Expression, exp, sigmoid
from .columns import Column, Columns
from .features import Category
from .refusals import refuse_classes
from .regions import Region, at_most, below_f32, whole_numbers
from .trees import Leaf, Node, Split, ensemble

__all__ = ["from_xgboost"]

_PROBABILITIES: Final = frozenset(["binary:logistic", "reg:logistic"])
_LOGITS: Final = frozenset(["binary:logitraw"])
_LOGITS_SINCE: Final = (3, 2, 0)
_LEAST: Final = 1e-6  # XGBoost's own
_LOG: Final = frozenset(["count:poisson", "reg:gamma", "reg:tweedie"])
_RAW: Final = frozenset(
    [
        "reg:squarederror",
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "rank:ndcg",
        "rank:map",
        "rank:pairwise",
    ]
)


def from_xgboost(booster: Any, columns: Columns) -> Expression:
    """What `predict` gives: the regression, the probability of the second class, or a ranker's score."""
    saved = json.loads(booster.save_raw("json"))
    learner = saved["learner"]
    parameters = learner["learner_model_param"]
    if int(parameters["num_class"]) > 1:
        refuse_classes("XGBoost model", int(parameters["num_class"]))
    if int(parameters.get("num_target", "1")) > 1:
        raise StrategyError(f"this XGBoost model predicts {parameters['num_target']} outputs, and a formula is one number")
    trees, weights, categories = _trees(learner["gradient_booster"])
    known = zip(columns, categories or [None] * len(columns), strict=True)
    reader = _Reader(columns.now(_known(column, values) for column, values in known))
    read = [reader.tree(tree, weight) for tree, weight in zip(trees, weights, strict=True)]
    objective, base = learner["objective"]["name"], float(parameters["base_score"].strip("[]"))
    if objective in _LOGITS and tuple(saved["version"]) < _LOGITS_SINCE:
        raise StrategyError(
            f"XGBoost {'.'.join(map(str, saved['version']))} made this model, and it isn't known how it keeps the base score "
            f"of {objective!r}: fit it again with a later version, or with 'binary:logistic'"
        )
    return _output(objective, ensemble(read, _margin(objective, base), reader.columns))


def _trees(booster: dict[str, Any]) -> tuple[list[dict[str, Any]], list[float], list[list[object] | None] | None]:
    """The trees, the weight of each, and each column's categories if the model knows them."""
    match booster["name"]:
        case "gbtree":
            inner, weights = booster["model"], None
        case "dart":
            inner, weights = booster["gbtree"]["model"], booster["weight_drop"]
        case name:
            raise StrategyError(
                f"XGBoost's booster {name!r} has no trees: fit scikit-learn's LogisticRegression or Ridge instead"
            )
    trees = inner["trees"]
    return trees, weights or [1.0] * len(trees), _categories(inner.get("cats"))


def _categories(found: dict[str, Any] | None) -> list[list[object] | None] | None:
    """The categories of the data frame that the model was trained on, by column."""
    if not found or not found["enc"]:
        return None
    return [_decoded(each) if each["values"] else None for each in found["enc"]]


def _decoded(encoded: dict[str, Any]) -> list[object]:
    """The categories in the order of their codes; none if they can't be told."""
    if "offsets" not in encoded:
        return list(encoded["values"])
    data, offsets = bytes(value % 256 for value in encoded["values"]), encoded["offsets"]
    if not data.isascii():  # XGBoost 3.2 counts characters but keeps bytes, so that the texts run into each other
        return []
    return [data[start:end].decode() for start, end in pairwise(offsets)]


def _known(column: Column, categories: list[object] | None) -> Column:
    if categories is None:
        return column
    if not isinstance(column.feature, Category):
        raise StrategyError(
            f"the model was trained on {column.name!r} as categories ({', '.join(map(repr, categories[:2]))}, …), "
            "but the feature is a number: write Category(key)"
        )
    return column.knowing(categories) if categories else column


def _margin(objective: str, base: float) -> float:
    """The base score, which is kept as a prediction, before the function that ends the model."""
    if objective in _PROBABILITIES:  # of 0 and 1, which training of one class leaves, XGBoost takes what is beside them
        base = min(max(base, _LEAST), 1.0 - _LEAST)
        return math.log(base / (1.0 - base))
    if objective not in _LOG:
        return base
    if base <= 0.0:
        raise StrategyError(f"this XGBoost model of {objective!r} predicts 0 for everything: its base score is {base:g}")
    return math.log(base)


def _output(objective: str, total: Expression) -> Expression:
    if objective in _PROBABILITIES:
        return sigmoid(total)
    if objective in _LOG:
        return exp(total)
    if objective in _RAW | _LOGITS:
        return total
    known = ", ".join(sorted(_PROBABILITIES | _LOGITS | _LOG | _RAW))
    raise StrategyError(
        f"XGBoost's objective {objective!r} is not known to end in a function that formulas have; known: {known}"
    )


@dataclass(frozen=True)
class _Reader:
    columns: Columns

    def tree(self, tree: dict[str, Any], weight: float) -> Node:
        sets = _category_sets(tree)

        def node(index: int) -> Node:
            left = int(tree["left_children"][index])
            value = np.float32(tree["split_conditions"][index])
            if left == -1:
                return Leaf(float(value) * weight)
            column = int(tree["split_indices"][index])
            if index in sets:
                region = ~whole_numbers(sets[index], negatives=False)
            else:
                region = self._number(column, float(value))
            right = int(tree["right_children"][index])
            return Split(column, region, bool(tree["default_left"][index]), node(left), node(right))

        return node(0)

    def _number(self, column: int, threshold: float) -> Region:
        if isinstance(self.columns[column].feature, Category):
            raise StrategyError(f"{self.columns[column].name!r} is a Category, but the model was trained on it as a number")
        return at_most(below_f32(threshold))


def _category_sets(tree: dict[str, Any]) -> dict[int, list[int]]:
    """By node, the categories that go right; all others, known or not, go left."""
    starts, sizes = tree["categories_segments"], tree["categories_sizes"]
    listed = tree["categories"]
    return {
        node: listed[start : start + size] for node, start, size in zip(tree["categories_nodes"], starts, sizes, strict=True)
    }
