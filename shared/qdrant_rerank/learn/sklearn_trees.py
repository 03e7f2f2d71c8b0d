"""scikit-learn's trees, forests and gradient boosting, read from their fitted attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import StrategyError
from ..expressions import Expression, sigmoid
from .columns import Columns
from .refusals import check_binary, check_one_output
from .regions import at_most, no_greater_f32
from .trees import Leaf, Node, Split, ensemble

__all__ = ["from_forest", "from_gradient_boosting", "from_tree"]


def from_tree(model: Any, columns: Columns) -> Expression:
    """A decision tree's prediction: the mean of a leaf, or its probability of the second class."""
    return ensemble([_single(model, 1.0)], 0.0, columns)


def from_forest(model: Any, columns: Columns) -> Expression:
    """The mean prediction of a forest's trees."""
    check_one_output(model)
    return ensemble([_single(tree, 1.0 / len(model.estimators_)) for tree in model.estimators_], 0.0, columns)


def from_gradient_boosting(model: Any, columns: Columns) -> Expression:
    """The prediction of GradientBoostingRegressor, or the classifier's probability of the second class."""
    _refuse_missing(columns, type(model).__name__)
    is_classifier = hasattr(model, "classes_")
    if is_classifier:
        check_binary(model)
    trees = [_read(stage[0], lambda value: float(value.ravel()[0]) * model.learning_rate) for stage in model.estimators_]
    total = ensemble(trees, _start(model), columns)
    if not is_classifier:
        return total
    return sigmoid(total * 2.0 if model.loss == "exponential" else total)


def _start(model: Any) -> float:
    """What the prediction starts from, before the first tree."""
    if isinstance(model.init_, str):  # "zero"
        return 0.0
    if type(model.init_).__name__ not in ("DummyRegressor", "DummyClassifier"):
        raise StrategyError(
            f"this {type(model).__name__} starts from the predictions of {type(model.init_).__name__} (init=): "
            "fit it with init=None or init='zero'"
        )
    return float(model._raw_predict_init(np.zeros((1, model.n_features_in_)))[0, 0])


def _single(model: Any, weight: float) -> Node:
    check_one_output(model)
    if not hasattr(model, "classes_"):
        return _read(model, lambda value: float(value.ravel()[0]) * weight)
    check_binary(model)
    return _read(model, lambda value: float(value.ravel()[1] / value.sum()) * weight)


def _read(model: Any, leaf: Callable[[np.ndarray[Any, Any]], float]) -> Node:
    tree = model.tree_
    missing_left = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))

    def node(index: int) -> Node:
        left, right = int(tree.children_left[index]), int(tree.children_right[index])
        if left == right:  # both -1
            return Leaf(leaf(tree.value[index]))
        region = at_most(no_greater_f32(float(tree.threshold[index])))
        return Split(int(tree.feature[index]), region, bool(missing_left[index]), node(left), node(right))

    return node(0)


def _refuse_missing(columns: Columns, kind: str) -> None:
    nullable = [column.name for column in columns if column.is_nullable]
    if nullable:
        raise StrategyError(
            f"{kind} takes no missing values, but {', '.join(map(repr, nullable))} may be missing: give field() the default "
            "that the model was trained with, or put a SimpleImputer into the pipeline"
        )
