"""From a trained model of scikit-learn, LightGBM or XGBoost to the expression that computes its predictions in Qdrant.

The libraries aren't imported: a model is known by its class's name, and read by its attributes. `formula_cost` says how large
a formula is, and how long it takes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, Final, TypedDict, Unpack

from qdrant_client import models

from .. import StrategyError
from .._internals import (
    MAX_BYTES,
    MAX_CONDITIONS,
    Lowering,
    QueryTokens,
    ScoreSource,
    candidate_scores,
    did_you_mean,
    extent,
    lower,
    placeholder_params,
    walk,
)
from ..errors import FitError
from ..expressions import Expression
from ..planning import Capabilities
from ..stages import Formula
from .boosters import from_lightgbm, from_xgboost, lightgbm_names
from .features import Features, as_features
from .model_columns import Column, Columns, MinMax, Standard
from .model_trees import WAYS_OUT
from .scikit_learn import (
    from_forest,
    from_gradient_boosting,
    from_histogram,
    from_linear_classifier,
    from_linear_regressor,
    from_network,
    from_tree,
)

Importer = Callable[[Any, Columns], Expression]


def from_model(
    model: Any,
    features: Features,
    *,
    arrays: bool = False,
    max_conditions: int | None = MAX_CONDITIONS,
    max_bytes: int | None = MAX_BYTES,
    max_milliseconds: float | None = None,
    on_client: bool = False,
) -> Expression:
    """The expression that computes the model's predictions from the payload, the candidates' scores and the query's values.

    Classifiers give the probability of their second class, rankers their raw scores, all others what `predict` gives.

    Args:
        model: a fitted model: see `docs/learned-models.md` for the kinds.
        features: the model's columns, by its names for them or in its order: expressions, `Feature` where the payload may lack
            a value and the model was trained with NaN there, `Category` for categorical columns.
        arrays: whether payload keys that trees split on may hold arrays of several values. If so they count as missing, as in
            `field()`, at the cost of a check in each condition, several times slower; if not, a condition holds for an array
            if it holds for any of its values.
        max_conditions: how many conditions the formula may have; None for any number.
        max_bytes: how large it may be as JSON; None for any size.
        max_milliseconds: how long a request for 100 candidates may take, by `formula_cost`; None for any time.
        on_client: whether it is for `Formula(…).over(…).on_client()`, which computes it here with numpy over the candidates
            that Qdrant finds: it may then have any size, and trees may be deeper than a server takes.

    Raises:
        StrategyError: the features aren't the model's columns, or no formula computes models of this kind.
        FitError: the formula is larger than the budget.
    """
    if isinstance(model, str | PathLike):
        raise StrategyError(
            f"from_model takes a fitted model, not the path of a file, {os.fspath(model)!r}: load it as it was saved, e.g. "
            "joblib.load(path), lightgbm.Booster(model_file=path), xgboost.XGBRanker() and its load_model(path)"
        )
    names, count = _columns_of(model)
    each = tuple(Column(name, feature) for name, feature in as_features(features, names, count).items())
    columns = Columns(each, arrays, on_client, None if on_client else max_bytes)
    model, columns = through(model, columns)
    expression = _importer(model)(_booster(model), columns)
    if not on_client:
        check_budget(expression, max_conditions, max_bytes, max_milliseconds)
    return expression


class ModelOptions(TypedDict, total=False):
    """The options of `from_model`, which says what they mean."""

    arrays: bool
    max_conditions: int | None
    max_bytes: int | None
    max_milliseconds: float | None
    on_client: bool


def formula_from_model(model: Any, features: Features, **options: Unpack[ModelOptions]) -> Formula:
    """`Formula(from_model(…))`: `formula_from_model(model, features).over(Nearest("dense", limit=100))`."""
    return Formula(from_model(model, features, **options))


def _library(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _importer(model: Any) -> Importer:
    kinds = ((_library(kind), kind.__name__) for kind in type(model).__mro__)  # subclasses are read as what they derive from
    kind = next((kind for kind in kinds if kind in _IMPORTERS), None)
    if kind is None:
        names = dict.fromkeys(name for _, name in _IMPORTERS)
        inner = getattr(model, "best_estimator_", None)
        hint = f": pass its best_estimator_, a {type(inner).__name__}" if inner is not None else ""
        raise StrategyError(
            f"can't make a formula of a {type(model).__module__}.{type(model).__name__}"
            f"{hint or did_you_mean(type(model).__name__, names)}; known are {', '.join(names)}, and pipelines of these"
        )
    missing = getattr(model, "missing", math.nan) if kind[0] == "xgboost" else math.nan
    if missing is not None and not math.isnan(missing):
        raise StrategyError(
            f"this {type(model).__name__} takes {missing!r} for missing, where a payload's missing values are NaN: "
            "fit it with missing=np.nan"
        )
    return _IMPORTERS[kind]


def _booster(model: Any) -> Any:
    """The booster inside of LightGBM's and XGBoost's scikit-learn classes, with the rounds that `predict` uses."""
    match _library(type(model)), hasattr(model, "get_booster"), hasattr(model, "booster_"):
        case "xgboost", True, _:
            booster = model.get_booster()
            best = getattr(booster, "best_iteration", None) if model.early_stopping_rounds else None
            return booster if best is None else booster[: best + 1]
        case "lightgbm", _, True:
            return model.booster_
        case _:
            return model


def _columns_of(model: Any) -> tuple[list[str] | None, int]:
    """The model's names of its columns, if any, and their number. Raises StrategyError where it isn't fitted or known."""
    _importer(_step(model, -1))
    first = _step(model, 0)
    try:
        match _library(type(first)):
            case "lightgbm":
                booster = _booster(first)
                return lightgbm_names(booster), int(booster.num_feature())
            case "xgboost":
                booster = _booster(first)
                return booster.feature_names, int(booster.num_features())
            case _:
                names = getattr(first, "feature_names_in_", None)
                return None if names is None else [str(name) for name in names], int(first.n_features_in_)
    except Exception as error:  # each library has its own
        raise StrategyError(f"this {type(model).__name__} isn't fitted: call fit() first ({error})") from error


_KINDS: Final[dict[str, dict[Importer, str]]] = {
    "sklearn": {
        from_linear_regressor: "LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV SGDRegressor",
        from_linear_classifier: "LogisticRegression LogisticRegressionCV SGDClassifier RidgeClassifier LinearSVC",
        from_tree: "DecisionTreeRegressor DecisionTreeClassifier",
        from_forest: "RandomForestRegressor RandomForestClassifier ExtraTreesRegressor ExtraTreesClassifier",
        from_gradient_boosting: "GradientBoostingRegressor GradientBoostingClassifier",
        from_histogram: "HistGradientBoostingRegressor HistGradientBoostingClassifier",
        from_network: "MLPRegressor MLPClassifier",
    },
    "lightgbm": {from_lightgbm: "Booster LGBMModel"},
    "xgboost": {from_xgboost: "Booster XGBModel"},
}
_IMPORTERS: Final[dict[tuple[str, str], Importer]] = {
    (library, name): importer
    for library, kinds in _KINDS.items()
    for importer, names in kinds.items()
    for name in names.split()
}


def through(model: Any, columns: Columns) -> tuple[Any, Columns]:
    """A pipeline's last step, also of nested ones, and the columns as it sees them. Raises StrategyError for other steps."""
    while _kind(model) == "Pipeline":
        *before, (_, last) = model.steps
        for name, step in before:
            columns = _after(name, step, columns)
        model = last
    return model, columns


def _step(model: Any, number: int) -> Any:
    """A pipeline's step, of those that do something, of which the first knows the columns; the model itself if it is none."""
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
    return columns.replace_each(column.add_scaling(Standard(float(mean), float(scale))) for column, mean, scale in fitted)


def _min_max(step: Any, columns: Columns) -> Columns:
    low, high = map(float, step.feature_range)
    bounds = (low, high) if step.clip else None
    fitted = zip(columns, step.scale_, step.min_, step.data_min_, strict=True)
    return columns.replace_each(
        column.add_scaling(MinMax(float(scale), float(least), float(origin), low, bounds))
        for column, scale, least, origin in fitted
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
    return columns.replace_each(column.impute(value) for column, value in zip(columns, filled, strict=True))


_READERS: Final[Mapping[str, Callable[[Any, Columns], Columns]]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "SimpleImputer": _imputer,
}


_SERVER: Final = Capabilities((1, 20, 0))

# Milliseconds for 100 candidates, fitted to ensembles of 10 to 100 trees, linear models and networks on the embedded engine
# (qdrant-edge 0.9, two cores): good to a factor of two.
_SEARCH: Final = 0.2
_NODE: Final = 0.0004
_READ: Final = 0.01


@dataclass(frozen=True)
class FormulaCost:
    """What a compiled formula costs.

    Attributes:
        conditions: conditions on the payload; of the two or more that stand for one question each is counted.
        nodes: parts of the formula in all.
        bytes: its size as JSON; every request carries it.
        levels: how deep it is nested as JSON; servers take about 127.
        milliseconds: about how long a request for 100 candidates takes on the embedded engine with payload indexes,
            the search for the candidates included. Without indexes it is 6 to 19 times as long.
    """

    conditions: int
    nodes: int
    bytes: int
    levels: int
    milliseconds: float


def formula_cost(expression: Expression, capabilities: Capabilities = _SERVER) -> FormulaCost:
    """What `expression` costs once it is compiled for a server (1.20 unless `capabilities` says otherwise)."""
    formula = _compile(expression, capabilities)
    size = extent(formula)
    query = models.FormulaQuery.model_construct(formula=formula)
    length = len(query.model_dump_json(exclude_unset=True, exclude_none=True, by_alias=True).encode())
    milliseconds = _SEARCH + size.nodes * _NODE + size.reads * _READ
    return FormulaCost(size.conditions, size.nodes, length, size.json_depth, milliseconds)


def check_budget(
    expression: Expression, max_conditions: int | None, max_bytes: int | None, max_milliseconds: float | None = None
) -> None:
    """Refuse a formula that is larger than the budget. Raises FitError, which says by how much, and what to do."""
    size = formula_cost(expression)
    over: list[str] = []
    if max_conditions is not None and size.conditions > max_conditions:
        over.append(f"{size.conditions:,} conditions where {max_conditions:,} are allowed")
    if max_bytes is not None and size.bytes > max_bytes:
        over.append(f"{size.bytes:,} bytes where {max_bytes:,} are allowed")
    if max_milliseconds is not None and size.milliseconds > max_milliseconds:
        over.append(f"about {size.milliseconds:.1f} ms where {max_milliseconds:g} are allowed")
    if over:
        raise FitError(
            f"the formula has {' and '.join(over)} (about {size.milliseconds:.0f} ms for 100 candidates): {WAYS_OUT}"
        )


def _compile(expression: Expression, capabilities: Capabilities) -> models.Expression:
    names = dict.fromkeys(score.name for score in candidate_scores(expression))
    tokens = {node.using: 32 for node in walk(expression) if isinstance(node, QueryTokens)}
    candidates = [ScoreSource(name) for name in names] or [ScoreSource(None)]
    features = placeholder_params(expression)
    return lower(expression, Lowering(candidates, capabilities, features, tokens=tokens, thorough=False))
