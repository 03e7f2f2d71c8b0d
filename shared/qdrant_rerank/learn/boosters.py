"""Boosters of LightGBM, read from their dump, and of XGBoost, read from the JSON that they save."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from .. import StrategyError
from ..expressions import Expression, exp, sigmoid
from .features import Category
from .model_columns import Column, Columns, Region, at_most, below_f32, check_outputs, refuse_classes, whole_numbers
from .model_trees import Leaf, Node, Split, ensemble

_ZERO: Final = 1e-35  # LightGBM's kZeroThreshold, a 32-bit float
_LIGHTGBM_RAW: Final = frozenset(
    ["regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg", "custom", "none"]
)
_LIGHTGBM_LOG: Final = frozenset(["poisson", "gamma", "tweedie"])


def lightgbm_names(booster: Any) -> list[str] | None:
    """The booster's names of its columns; None if it made them up."""
    names = list(booster.feature_name())
    return None if names == [f"Column_{number}" for number in range(len(names))] else names


def from_lightgbm(booster: Any, columns: Columns) -> Expression:
    """What `predict` gives: the regression, the probability of the second class, or a ranker's score."""
    dump = booster.dump_model()
    if dump["num_tree_per_iteration"] != 1:
        refuse_classes("LightGBM model", dump["num_tree_per_iteration"])
    columns = _lightgbm_columns(columns, booster.pandas_categorical)
    share = 1.0 / len(dump["tree_info"]) if dump["average_output"] else 1.0
    total = ensemble([_lightgbm_tree(tree["tree_structure"], share, columns) for tree in dump["tree_info"]], 0.0, columns)
    return _lightgbm_output(total, dump.get("objective", "none").split())


def _lightgbm_output(total: Expression, objective: list[str]) -> Expression:
    name, *options = objective
    if name in _LIGHTGBM_RAW and "sqrt" not in options:
        return total
    if name in _LIGHTGBM_LOG:
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


def _lightgbm_columns(columns: Columns, categories: Sequence[Sequence[object]] | None) -> Columns:
    """The columns with the categories of the pandas frame of the training."""
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
    return columns.replace_each(
        column.with_categories(by_name[column.name]) if column.name in by_name else column for column in columns
    )


def _lightgbm_tree(found: dict[str, Any], share: float, columns: Columns) -> Node:
    if "leaf_value" in found:
        if "leaf_coeff" in found:
            raise StrategyError("linear trees (linear_tree=True) can't become a formula: fit with linear_tree=False")
        return Leaf(float(found["leaf_value"]) * share)
    column = int(found["split_feature"])
    region, missing_left = _lightgbm_region(found)
    if found["decision_type"] == "<=":
        columns[column].check_number()
    left, right = (_lightgbm_tree(found[side], share, columns) for side in ("left_child", "right_child"))
    return Split(column, region, missing_left, left, right)


def _lightgbm_region(found: dict[str, Any]) -> tuple[Region, bool]:
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


_XGBOOST_PROBABILITIES: Final = frozenset(["binary:logistic", "reg:logistic"])
_XGBOOST_LOGITS: Final = frozenset(["binary:logitraw"])
_XGBOOST_LOGITS_SINCE: Final = (3, 2, 0)
_XGBOOST_LEAST: Final = 1e-6  # XGBoost's own
_XGBOOST_LOG: Final = frozenset(["count:poisson", "reg:gamma", "reg:tweedie"])
_XGBOOST_RAW: Final = frozenset(
    [
        *("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"),
        *("rank:ndcg", "rank:map", "rank:pairwise"),
    ]
)


def from_xgboost(booster: Any, columns: Columns) -> Expression:
    """What `predict` gives: the regression, the probability of the second class, or a ranker's score."""
    saved = json.loads(booster.save_raw("json"))
    learner = saved["learner"]
    parameters = learner["learner_model_param"]
    if int(parameters["num_class"]) > 1:
        refuse_classes("XGBoost model", int(parameters["num_class"]))
    check_outputs("XGBoost model", int(parameters.get("num_target", "1")))
    trees, weights, categories = _xgboost_trees(learner["gradient_booster"])
    known = zip(columns, categories or [None] * len(columns), strict=True)
    columns = columns.replace_each(_xgboost_column(column, values) for column, values in known)
    read = [_xgboost_tree(tree, weight, columns) for tree, weight in zip(trees, weights, strict=True)]
    objective, base = learner["objective"]["name"], float(parameters["base_score"].strip("[]"))
    if objective in _XGBOOST_LOGITS and tuple(saved["version"]) < _XGBOOST_LOGITS_SINCE:
        raise StrategyError(
            f"XGBoost {'.'.join(map(str, saved['version']))} made this model, and it isn't known how it keeps the base score "
            f"of {objective!r}: fit it again with a later version, or with 'binary:logistic'"
        )
    return _xgboost_output(objective, ensemble(read, _xgboost_base(objective, base), columns))


def _xgboost_trees(booster: dict[str, Any]) -> tuple[list[dict[str, Any]], list[float], list[list[object] | None] | None]:
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
    trees, encoded = inner["trees"], (inner.get("cats") or {}).get("enc")
    categories = [_decode(each) if each["values"] else None for each in encoded] if encoded else None
    return trees, weights or [1.0] * len(trees), categories


def _decode(encoded: dict[str, Any]) -> list[object]:
    """The categories in the order of their codes; none if they can't be read."""
    if "offsets" not in encoded:
        return list(encoded["values"])
    data, offsets = bytes(value % 256 for value in encoded["values"]), encoded["offsets"]
    if not data.isascii():  # XGBoost 3.2 counts characters but keeps bytes: the texts run into each other
        return []
    return [data[start:end].decode() for start, end in pairwise(offsets)]


def _xgboost_column(column: Column, categories: list[object] | None) -> Column:
    if categories is None:
        return column
    if not isinstance(column.feature, Category):
        raise StrategyError(
            f"the model was trained on {column.name!r} as categories ({', '.join(map(repr, categories[:2]))}, …), "
            "but the feature is a number: write Category(key)"
        )
    return column.with_categories(categories) if categories else column


def _xgboost_base(objective: str, base: float) -> float:
    """The base score, which the file has as a prediction, before the function that ends the model."""
    if objective in _XGBOOST_PROBABILITIES:  # 0 and 1, which training of one class leaves, XGBoost moves inwards
        base = min(max(base, _XGBOOST_LEAST), 1.0 - _XGBOOST_LEAST)
        return math.log(base / (1.0 - base))
    if objective not in _XGBOOST_LOG:
        return base
    if base <= 0.0:
        raise StrategyError(f"this XGBoost model of {objective!r} predicts 0 for everything: its base score is {base:g}")
    return math.log(base)


def _xgboost_output(objective: str, total: Expression) -> Expression:
    if objective in _XGBOOST_PROBABILITIES:
        return sigmoid(total)
    if objective in _XGBOOST_LOG:
        return exp(total)
    if objective in _XGBOOST_RAW | _XGBOOST_LOGITS:
        return total
    known = ", ".join(sorted(_XGBOOST_PROBABILITIES | _XGBOOST_LOGITS | _XGBOOST_LOG | _XGBOOST_RAW))
    raise StrategyError(
        f"XGBoost's objective {objective!r} is not known to end in a function that formulas have; known: {known}"
    )


def _xgboost_tree(tree: dict[str, Any], weight: float, columns: Columns) -> Node:
    sets = _category_sets(tree)

    def node(index: int) -> Node:
        left, right = int(tree["left_children"][index]), int(tree["right_children"][index])
        value = np.float32(tree["split_conditions"][index])
        if left == -1:
            return Leaf(float(value) * weight)
        column = int(tree["split_indices"][index])
        if index in sets:
            region = ~whole_numbers(sets[index], negatives=False)
        else:
            columns[column].check_number()
            region = at_most(below_f32(float(value)))
        return Split(column, region, bool(tree["default_left"][index]), node(left), node(right))

    return node(0)


def _category_sets(tree: dict[str, Any]) -> dict[int, list[int]]:
    """Node → the categories that go right; all others, known or not, go left."""
    places = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    return {node: tree["categories"][start : start + size] for node, start, size in places}
