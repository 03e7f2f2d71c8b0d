"""scikit-learn pipelines: scalers and imputers become part of the columns, the last step is the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from .. import StrategyError
from .columns import Columns, MinMax, Standard

__all__ = ["entrance", "exit_of", "through"]


def through(model: Any, columns: Columns) -> tuple[Any, Columns]:
    """The pipeline's last step, and the columns as it sees them; pipelines may be nested.

    Raises:
        StrategyError: a step does something else than scaling and filling in.
    """
    found = columns
    while _kind(model) == "Pipeline":
        *before, (_, last) = model.steps
        for name, step in before:
            found = _after(name, step, found)
        model = last
    return model, found


def entrance(model: Any) -> Any:
    """The first step of a pipeline that does something, which knows the columns; the model itself if it is no pipeline."""
    return _step(model, 0)


def exit_of(model: Any) -> Any:
    """The last step of a pipeline; the model itself if it is none."""
    return _step(model, -1)


def _step(model: Any, number: int) -> Any:
    while _kind(model) == "Pipeline":
        steps = [step for _, step in model.steps if not _does_nothing(step)]
        if not steps:
            break
        model = steps[number]
    return model


def _does_nothing(step: Any) -> bool:
    if _kind(step) == "Pipeline":
        return all(_does_nothing(inner) for _, inner in step.steps)
    return step is None or isinstance(step, str)  # "passthrough"


def _kind(step: Any) -> str:
    return type(step).__name__ if type(step).__module__.startswith("sklearn.") else ""


def _after(name: str, step: Any, columns: Columns) -> Columns:
    if _does_nothing(step):
        return columns
    if _kind(step) == "Pipeline":
        for inner_name, inner in step.steps:
            columns = _after(f"{name}: {inner_name}", inner, columns)
        return columns
    reader = _READERS.get(_kind(step))
    if reader is None:
        raise StrategyError(
            f"the pipeline's step {name!r} is a {type(step).__name__}; known steps are {', '.join(_READERS)}: compute what it "
            "computes with expressions, e.g. log(field('price', default=1)), and train on those features"
        )
    return reader(step, columns)


def _standard(step: Any, columns: Columns) -> Columns:
    means = step.mean_ if step.with_mean else [0.0] * len(columns)
    scales = step.scale_ if step.with_std else [1.0] * len(columns)
    fitted = zip(columns, means, scales, strict=True)
    return columns.now(column.scaled(Standard(float(mean), float(scale))) for column, mean, scale in fitted)


def _min_max(step: Any, columns: Columns) -> Columns:
    low, high = map(float, step.feature_range)
    bounds = (low, high) if step.clip else None
    fitted = zip(columns, step.scale_, step.min_, step.data_min_, strict=True)
    return columns.now(
        column.scaled(MinMax(float(scale), float(least), float(origin), low, bounds)) for column, scale, least, origin in fitted
    )


def _imputer(step: Any, columns: Columns) -> Columns:
    if not (isinstance(step.missing_values, float) and math.isnan(step.missing_values)):
        raise StrategyError(
            f"SimpleImputer(missing_values={step.missing_values!r}) fills in a number; a payload's missing values are NaN: "
            "fit it with missing_values=np.nan"
        )
    if step.add_indicator:
        raise StrategyError("SimpleImputer(add_indicator=True) adds columns, which a formula has no names for: fit it without")
    filled = [float(value) for value in step.statistics_]
    empty = [column.name for column, value in zip(columns, filled, strict=True) if math.isnan(value)]
    if empty:
        raise StrategyError(
            f"SimpleImputer found no values in {', '.join(map(repr, empty))} and drops such columns: leave them out"
        )
    return columns.now(column.imputed(value) for column, value in zip(columns, filled, strict=True))


_READERS: Final[dict[str, Callable[[Any, Columns], Columns]]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "SimpleImputer": _imputer,
}
