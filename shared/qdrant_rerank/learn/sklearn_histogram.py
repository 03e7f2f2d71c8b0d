"""scikit-learn's HistGradientBoosting, which splits in 64 bits, sends missing values either way, and knows categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import StrategyError
from ..expressions import Expression, exp, sigmoid
from .columns import Column, Columns
from .features import Category
from .refusals import check_binary
from .regions import Region, at_most, points
from .trees import Leaf, Node, Split, ensemble

__all__ = ["from_histogram"]


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
        return cls(columns.now(_known(column, values.get(number)) for number, column in enumerate(columns)), order, values)

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
    return column.knowing(values)


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:
        return False
