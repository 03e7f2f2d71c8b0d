"""scikit-learn's trees, forests, gradient boosting and HistGradientBoosting, read from their fitted attributes.

The last splits in 64 bits, sends missing values either way, and knows categories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import StrategyError
from ...expressions import Expression, exp, sigmoid
from ..features import Category
from .columns import Column, Columns, check_binary, check_one_output
from .regions import Region, at_most, no_greater_f32, points
from .trees import Leaf, Node, Split, ensemble

__all__ = ["from_forest", "from_gradient_boosting", "from_histogram", "from_tree"]


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


def from_histogram(model: Any, columns: Columns) -> Expression:
    """The prediction of HistGradientBoostingRegressor, or the classifier's probability of the second class."""
    if hasattr(model, "classes_"):
        check_binary(model)
    reader = _Reader.of(model, columns)
    trees = [reader.tree(stage[0]) for stage in model._predictors]
    total = ensemble(trees, float(model._baseline_prediction.ravel()[0]), reader.columns)
    match type(model._loss.link).__name__:
        case "IdentityLink":
            return total
        case "LogLink":
            return exp(total)
        case "LogitLink":
            return sigmoid(total)
        case link:  # pragma: no cover  # none of its losses has another
            raise StrategyError(f"{type(model).__name__}(loss={model.loss!r}) ends in {link}, which formulas have no equal of")


@dataclass(frozen=True)
class _Reader:
    """How a model numbers its columns: categories come first. `values` are a categorical column's, by code."""

    columns: Columns
    order: Sequence[int]
    values: dict[int, list[Any]]

    @classmethod
    def of(cls, model: Any, columns: Columns) -> _Reader:
        categorical = model.is_categorical_
        if categorical is None:
            return cls(columns, range(len(columns)), {})
        first = [number for number in range(len(columns)) if categorical[number]]
        order = first + [number for number in range(len(columns)) if not categorical[number]]
        encoder = model._preprocessor.named_transformers_["encoder"]
        values = {
            number: [value for value in known if value is not None and value == value]  # NaN is no category: it is missing
            for number, known in zip(first, encoder.categories_, strict=True)
        }
        return cls(
            columns.replace_each(_known(column, values.get(number)) for number, column in enumerate(columns)), order, values
        )

    def tree(self, predictor: Any) -> Node:
        nodes, sets = predictor.nodes, predictor.raw_left_cat_bitsets

        def node(index: int) -> Node:
            found = nodes[index]
            if found["is_leaf"]:
                return Leaf(float(found["value"]))
            column, missing_left = self.order[int(found["feature_idx"])], bool(found["missing_go_to_left"])
            if found["is_categorical"]:
                bits = sets[int(found["bitset_idx"])]
                region = self.categories(column, missing_left, bits)
            else:
                region = at_most(float(found["num_threshold"]))
            return Split(column, region, missing_left, node(int(found["left"])), node(int(found["right"])))

        return node(0)

    def categories(self, column: int, missing_left: bool, bits: Any) -> Region:
        """What goes left: unknown categories take the side of missing values."""
        values = self.values[column]
        is_code = isinstance(self.columns[column].feature, Category)
        tested = [
            float(code if is_code else value)
            for code, value in enumerate(values)
            if bool(int(bits[code // 32]) >> (code % 32) & 1) != missing_left
        ]
        return ~points(tested) if missing_left else points(tested)


def _known(column: Column, values: list[Any] | None) -> Column:
    if values is None:
        if isinstance(column.feature, Category):
            raise StrategyError(f"{column.name!r} is a Category, but the model was trained on it as a number")
        return column
    if not isinstance(column.feature, Category) and not all(_is_number(value) for value in values):
        raise StrategyError(
            f"the model was trained on {column.name!r} as categories ({values[0]!r}, …), "
            f"but the feature is a number: write Category(key)"
        )
    return column.with_categories(values)


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:
        return False
