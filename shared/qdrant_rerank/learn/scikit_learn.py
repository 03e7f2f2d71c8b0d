"""scikit-learn's models, read from their fitted attributes: linear ones, small neural networks, trees and their ensembles.

Linear models and networks are weighted sums, with a pipeline's scaling folded in around each feature's centre. Trees compare in
32 bits; HistGradientBoosting splits in 64 bits, sends missing values either way, and knows categories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .. import StrategyError
from .._internals import Constant, Product, Sum
from ..expressions import Expression, clip, exp, relu, sigmoid, tanh
from .features import Category
from .model_columns import (
    Column,
    Columns,
    Region,
    add_up,
    at_most,
    check_binary,
    check_outputs,
    no_greater_f32,
    numeric,
    points,
)
from .model_trees import Leaf, Node, Split, ensemble


def from_linear_regressor(model: Any, columns: Columns) -> Expression:
    """`coef_ · x + intercept_`."""
    coefficients = _dense(model.coef_)
    check_outputs(type(model).__name__, len(coefficients) if coefficients.ndim > 1 else 1)
    return weigh_columns(columns, coefficients.ravel().tolist(), _intercept(model))


def from_linear_classifier(model: Any, columns: Columns) -> Expression:
    """The probability of the second class, or the decision function of classifiers that give no probabilities."""
    check_binary(model)
    decision = weigh_columns(columns, _dense(model.coef_).ravel().tolist(), _intercept(model))
    match type(model).__name__, getattr(model, "loss", None):
        case ("LogisticRegression" | "LogisticRegressionCV", _):
            # two classes as if they were many: softmax of (-d, d)
            return sigmoid(decision * 2.0 if getattr(model, "multi_class", None) == "multinomial" else decision)
        case ("SGDClassifier", "log_loss"):
            return sigmoid(decision)
        case ("SGDClassifier", "modified_huber"):
            return (clip(decision, -1.0, 1.0) + 1.0) * 0.5
        case _:
            return decision


def weigh_columns(columns: Columns, weights: Sequence[float], intercept: float) -> Expression:
    """The intercept plus each column, as the model sees it, times its weight."""
    terms: list[Expression] = []
    for column, weight in zip(columns, weights, strict=True):
        expression, affine = numeric(column)
        factor = weight * affine.factor
        intercept += weight * affine.offset
        if factor:
            centred = Sum((expression, Constant(-affine.center))) if affine.center else expression
            terms.append(Product((Constant(factor), centred)))
    return add_up([*terms, Constant(intercept)] if intercept or not terms else terms)


def _dense(coefficients: Any) -> Any:
    """Coefficients as an array, also where `sparsify()` made a sparse matrix of them."""
    return coefficients.toarray() if hasattr(coefficients, "toarray") else coefficients


def _intercept(model: Any) -> float:
    return float(np.ravel(model.intercept_)[0])


_ACTIVATIONS: Final[dict[str, Callable[[Expression], Expression]]] = {
    "identity": lambda unit: unit,
    "relu": relu,
    "tanh": tanh,
    "logistic": sigmoid,
    "exp": exp,
}


def from_network(model: Any, columns: Columns) -> Expression:
    """The prediction of MLPRegressor, or the classifier's probability of the second class."""
    kind = type(model).__name__
    check_binary(model)
    if len(model.coefs_) != 2:
        raise StrategyError(
            f"this {kind} has {len(model.coefs_) - 1} hidden layers, and a formula of more than one grows with their product: "
            "fit with hidden_layer_sizes=(16,)"
        )
    (inner, outer), (inner_bias, outer_bias) = model.coefs_, model.intercepts_
    check_outputs(kind, outer.shape[1])
    activation = _ACTIVATIONS[model.activation]
    units: list[Expression] = [
        Product((Constant(float(outer[unit, 0])), activation(weigh_columns(columns, inner[:, unit].tolist(), float(bias)))))
        for unit, bias in enumerate(inner_bias)
    ]
    return _ACTIVATIONS[model.out_activation_](Sum((*units, Constant(float(outer_bias[0])))))


def from_tree(model: Any, columns: Columns) -> Expression:
    """A decision tree's prediction: the mean of a leaf, or its probability of the second class."""
    return ensemble([_single(model, 1.0)], 0.0, columns)


def from_forest(model: Any, columns: Columns) -> Expression:
    """The mean prediction of a forest's trees."""
    check_outputs(type(model).__name__, model.n_outputs_)
    return ensemble([_single(tree, 1.0 / len(model.estimators_)) for tree in model.estimators_], 0.0, columns)


def from_gradient_boosting(model: Any, columns: Columns) -> Expression:
    """The prediction of GradientBoostingRegressor, or the classifier's probability of the second class."""
    _refuse_missing(columns, type(model).__name__)
    check_binary(model)
    trees = [_read(stage[0], lambda value: float(value.ravel()[0]) * model.learning_rate) for stage in model.estimators_]
    total = ensemble(trees, _start(model), columns)
    if not hasattr(model, "classes_"):
        return total
    return sigmoid(total * 2.0 if model.loss == "exponential" else total)


def _start(model: Any) -> float:
    """The prediction before the first tree."""
    if isinstance(model.init_, str):  # "zero"
        return 0.0
    if type(model.init_).__name__ not in ("DummyRegressor", "DummyClassifier"):
        raise StrategyError(
            f"this {type(model).__name__} starts from the predictions of {type(model.init_).__name__} (init=): "
            "fit it with init=None or init='zero'"
        )
    return float(model._raw_predict_init(np.zeros((1, model.n_features_in_)))[0, 0])


def _single(model: Any, weight: float) -> Node:
    check_outputs(type(model).__name__, model.n_outputs_)
    check_binary(model)
    if not hasattr(model, "classes_"):
        return _read(model, lambda value: float(value.ravel()[0]) * weight)
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
    """The columns in the model's order, categories first; `values` are a categorical column's, by code."""

    columns: Columns
    order: Sequence[int]
    values: dict[int, list[Any]]

    @classmethod
    def of(cls, model: Any, columns: Columns) -> _Reader:
        categorical = model.is_categorical_
        if categorical is None:
            return cls(columns, range(len(columns)), {})
        order = sorted(range(len(columns)), key=lambda number: not categorical[number])  # a stable sort
        encoder = model._preprocessor.named_transformers_["encoder"]
        values = {
            number: [value for value in known if value is not None and value == value]  # NaN is no category: it is missing
            for number, known in zip(order, encoder.categories_, strict=False)
        }
        known = columns.replace_each(_known(column, values.get(number)) for number, column in enumerate(columns))
        return cls(known, order, values)

    def tree(self, predictor: Any) -> Node:
        nodes, sets = predictor.nodes, predictor.raw_left_cat_bitsets

        def node(index: int) -> Node:
            found = nodes[index]
            if found["is_leaf"]:
                return Leaf(float(found["value"]))
            column, missing_left = self.order[int(found["feature_idx"])], bool(found["missing_go_to_left"])
            if found["is_categorical"]:
                region = self.categories(column, missing_left, sets[int(found["bitset_idx"])])
            else:
                region = at_most(float(found["num_threshold"]))
            return Split(column, region, missing_left, node(int(found["left"])), node(int(found["right"])))

        return node(0)

    def categories(self, column: int, missing_left: bool, bits: Any) -> Region:
        """The categories that go left; unknown ones take the side of missing values."""
        is_code = isinstance(self.columns[column].feature, Category)
        tested = [
            float(code if is_code else value)
            for code, value in enumerate(self.values[column])
            if bool(int(bits[code // 32]) >> (code % 32) & 1) != missing_left
        ]
        return ~points(tested) if missing_left else points(tested)


def _known(column: Column, values: list[Any] | None) -> Column:
    if values is None:
        column.check_number()
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
