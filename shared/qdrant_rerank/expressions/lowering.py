"""From expression nodes to `qdrant_client.models` expressions, for one server and one query's request-time values.

What each encoding is for, as measured on qdrant-client's local mode and on the Rust engine:

* Engines keep constants as 32-bit floats but compute in 64: a constant travels as the sum of two 32-bit floats.
* A payload value that is missing, null, a bool, text, an object or an array of several numbers fails a whole query,
  whatever `defaults` says, unless an index of numbers is on its key, which keeps none of them. Products stop at their first 0,
  so `present * x + absent * default` reads a value only where a condition says that it is there and is of the right type.
  Arrays of several values count as missing, as there is no saying which is meant; only a thorough guard, which is slow, looks
  for them.
* `exp` overflows above 709, so the sigmoid's argument is clamped; before 1.20 there is no max and min, and
  `exp((z - |z|) / 2) / (1 + exp(-|z|))` is used, which is the same number.
"""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

import numpy as np
from qdrant_client import models

from ..capabilities import Capabilities
from ..errors import QueryError, StrategyError
from ..values import brief, to_plain
from . import nodes
from .nodes import Expression, check_number, check_place, in_utc
from .wire import F32_MAX, Dialect, absolute, either, exact_constant, exponential, negative, power, product, quotient, total

_AROUND_THE_WORLD: Final = 2.1e7  # metres; more than half of Earth's circumference
_SPOT: Final = 1e-3  # metres
FIRST_DAY: Final = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


def holds_number(key: str, thorough: bool = True, most: float = F32_MAX) -> models.Condition:
    """The condition that a payload key holds a number up to `most`, or down to minus that.

    A `thorough` one makes sure that it is the only value, which no payload index answers.
    """
    return _one(models.FieldCondition(key=key, range=models.Range(gte=-most, lte=most)), thorough)


def holds_datetime(key: str, thorough: bool = True) -> models.Condition:
    """The condition that a payload key holds a date-time; see `holds_number` for `thorough`."""
    return _one(models.FieldCondition(key=key, range=models.DatetimeRange(gte=FIRST_DAY)), thorough)


def holds_place(key: str, near: models.GeoPoint, counts_members: bool = False, thorough: bool = True) -> models.Condition:
    """The condition that a payload key holds a geo point; `near` is any place, as a radius needs a centre.

    An engine that `counts_members` of an object counts one place as 2. For `thorough` see `holds_number`.
    """
    condition = models.FieldCondition(key=key, geo_radius=models.GeoRadius(center=near, radius=_AROUND_THE_WORLD))
    if not thorough:
        return condition
    second: models.Condition
    if counts_members:
        second = models.IsEmptyCondition(is_empty=models.PayloadField(key=f"{key}[1]"))
    else:
        second = models.FieldCondition(key=key, values_count=models.ValuesCount(lte=1))
    return models.Filter(must=[_on_earth(key), second])


def _on_earth(key: str) -> models.Filter:
    """The condition that a place is within 90 and 180 degrees: engines store others, and formulas that read them fail.

    A radius takes degrees beyond for those on the other side, and a box leaves out its own border. So the borders are put
    together: the meridian of 180 degrees from a box that goes around by it, less what is beyond, and the poles from two spots.
    """

    def box(west: float, east: float) -> models.FieldCondition:
        corners = models.GeoPoint(lat=90.0, lon=west), models.GeoPoint(lat=-90.0, lon=east)
        return models.FieldCondition(
            key=key, geo_bounding_box=models.GeoBoundingBox(top_left=corners[0], bottom_right=corners[1])
        )

    def pole(lat: float) -> models.FieldCondition:
        spot = models.GeoRadius(center=models.GeoPoint(lat=lat, lon=0.0), radius=_SPOT)
        return models.FieldCondition(key=key, geo_radius=spot)

    inside: list[models.Condition] = [box(-180.0, 180.0), box(1.0, 0.0), pole(90.0), pole(-90.0)]
    return models.Filter(should=inside, must_not=[box(180.0, -180.0)])


def _one(condition: models.FieldCondition, thorough: bool) -> models.Condition:
    if not thorough:
        return condition
    single = models.FieldCondition(key=condition.key, values_count=models.ValuesCount(lte=1))
    return models.Filter(must=[condition, single])


def weigh_categories(key: str, weights: Mapping[str | int, models.Expression], default: models.Expression) -> models.Expression:
    """The sum of the weights of the point's categories, or `default` where it has none of them."""
    terms: list[models.Expression] = [
        product(models.FieldCondition(key=key, match=models.MatchValue(value=category)), weight)
        for category, weight in weights.items()
        if weight != 0.0
    ]
    if default != 0.0:
        terms.append(product(no_category(key, list(weights)), default))
    return total(*terms) if len(terms) > 1 else terms[0] if terms else 0.0


def no_category(key: str, categories: list[str | int]) -> models.Filter:
    """The condition that a point has none of the categories."""
    texts = [category for category in categories if isinstance(category, str)]
    numbers = [category for category in categories if not isinstance(category, str)]
    matches = [models.FieldCondition(key=key, match=models.MatchAny(any=some)) for some in (texts, numbers) if some]
    return models.Filter(must_not=list(matches))


def param_number(node: nodes.Param, params: Mapping[str, Any]) -> float:
    """The request-time number that `node` means.

    Raises QueryError: it isn't given and has no default, or isn't a finite number.
    """
    value = params.get(node.name, node.default)
    if value is None:
        raise QueryError(f"the formula needs the request-time value {node.name!r}: {_pass(node.name, '…', params)}")
    return _number(value, f"the request-time value {node.name!r}")


def param_map(node: nodes.Affinity, params: Mapping[str, Any]) -> tuple[Mapping[str | int, float], float]:
    """The request-time weights that `node` means, and the weight of all other categories.

    Raises QueryError: the map isn't given and has no default, isn't a map, or its weights aren't finite numbers.
    """
    default = 0.0 if node.default is None else float(node.default)
    weights = params.get(node.param)
    if weights is None:
        if node.default is not None:
            return {}, default
        what = f"the formula needs the request-time map {node.param!r}"
        raise QueryError(f"{what}: {_pass(node.param, '{category: weight}', params)}")
    if not isinstance(weights, Mapping):
        raise QueryError(f"the request-time value {node.param!r} must be a map of category to weight, got {brief(weights)}")
    checked = {
        _category(category, node.param): _number(weight, f"the weight of {category!r} in {node.param!r}")
        for category, weight in weights.items()
    }
    return checked, default


def _category(value: Any, name: str) -> str | int:
    """A category that payload can be matched with."""
    category = to_plain(value)
    if isinstance(category, bool) or not isinstance(category, str | int):
        raise QueryError(f"the categories of {name!r} must be text or whole numbers, got {brief(value)}")
    if isinstance(category, int) and not -(2**63) <= category < 2**63:
        raise QueryError(f"the categories of {name!r} must be whole numbers of 64 bits, got {brief(value)}")
    return category


def param_place(origin: tuple[float, float] | str, params: Mapping[str, Any]) -> tuple[float, float]:
    """The place `(lat, lon)` that a distance is measured from.

    Raises QueryError: it is request-time, and isn't given or isn't a place.
    """
    if not isinstance(origin, str):
        return origin
    if origin not in params:
        raise QueryError(f"the formula needs the request-time place {origin!r}: {_pass(origin, '(lat, lon)', params)}")
    try:
        return check_place(params[origin], f"the request-time value {origin!r}")
    except StrategyError as error:  # the strategy is right; the query is not
        raise QueryError(str(error)) from None


def token_count(node: nodes.QueryTokens, tokens: Mapping[str, int]) -> float:
    """How many token vectors the query has for the multivector that `node` means.

    Raises StrategyError: no candidate compares such a vector.
    """
    if node.using not in tokens:
        there = ", ".join(map(repr, tokens)) or "none"
        raise StrategyError(
            f"query_tokens({node.using!r}): no candidate compares such a multivector with token vectors that are known here; "
            f"there are: {there}"
        )
    return float(tokens[node.using])


def iso(moment: dt.datetime) -> str:
    """A moment as RFC 3339 text in UTC, which it is taken for where it has no time zone."""
    return in_utc(moment).isoformat()


def _pass(name: str, value: str, params: Mapping[str, Any]) -> str:
    there = ", ".join(map(repr, params)) or "none"
    return f"pass params={{{name!r}: {value}}}; given: {there}"


def _number(value: Any, what: str) -> float:
    try:
        return float(check_number(value, what, required=True))
    except StrategyError as error:  # the strategy is right; the query is not
        raise QueryError(str(error)) from None


def lower_decay(
    decay: nodes.Decay, operand: models.Expression, target: models.Expression | None, to: Lowering
) -> models.Expression:
    """The decay of the distance from `operand` to `target`, both lowered; None is 0."""
    exact = all(float(np.float32(number)) == number for number in (decay.scale, decay.midpoint))
    # a linear decay this steep is refused when one node of a cluster passes it to another
    breaks_on_clusters = decay.shape == "lin" and (1 - decay.midpoint) / decay.scale > 1
    if not exact or breaks_on_clusters:
        return _decay_by_hand(decay, operand if target is None else total(operand, negative(target)), to)
    params = models.DecayParamsExpression.model_construct(
        x=operand, target=target, scale=float(decay.scale), midpoint=float(decay.midpoint)
    )
    match decay.shape:
        case "exp":
            return models.ExpDecayExpression.model_construct(exp_decay=params)
        case "gauss":
            return models.GaussDecayExpression.model_construct(gauss_decay=params)
        case "lin":
            return models.LinDecayExpression.model_construct(lin_decay=params)
    assert_never(decay.shape)


def _decay_by_hand(decay: nodes.Decay, difference: models.Expression, to: Lowering) -> models.Expression:
    """The decay as arithmetic, whose constants are exact where a native decay would round scale and midpoint."""
    magnitude = absolute(difference)
    match decay.shape:
        case "exp":
            return exponential(product(to.constant(math.log(decay.midpoint) / decay.scale), magnitude))
        case "gauss":
            root = product(to.constant(math.sqrt(-math.log(decay.midpoint)) / decay.scale), magnitude)
            return exponential(negative(power(root, 2.0)))
        case "lin":
            slope = to.constant(-(1 - decay.midpoint) / decay.scale)
            return to.greatest(total(1.0, product(slope, magnitude)), 0.0)
    assert_never(decay.shape)


MODEL_ELSEWHERE: Final = (
    "rerank_score() is the score of a model that reads the text, which Qdrant can't know: "
    "use it in Rerank(blend=…), not in a Formula"
)


@dataclass(frozen=True)
class ScoreSource:
    """A candidate stage as a formula sees it: its name, and whether its scores are distances (lower is better)."""

    name: str | None
    is_distance: bool = False


@dataclass
class Lowering(Dialect):
    """What lowering needs to know, and what it collects.

    Attributes:
        candidates: the stages whose scores the formula may read.
        params: the query's request-time values.
        defaults: the defaults of candidate scores, with those that are 0 as they are without, and of indexed payload keys;
            filled by lowering.
        fixed: by identity, the nodes that no query changes, so that their lowering can be used again.
        compiled: by identity, the lowering of fixed nodes; filled by lowering.
        tokens: by multivector, how many token vectors the query has.
        thorough: whether to make sure that a payload key holds just one value.
        indexed: payload keys whose numbers an index keeps, with the one default that a key is read with, for which no condition
            is needed: what isn't a number isn't in the index either, and `defaults` stand in. None where it is read otherwise.
    """

    candidates: Sequence[ScoreSource]
    capabilities: Capabilities
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    now: dt.datetime | None = None
    defaults: dict[str, float] = field(default_factory=dict[str, float])
    fixed: Mapping[int, Expression] = field(default_factory=dict[int, Expression])
    compiled: dict[int, models.Expression] = field(default_factory=dict[int, models.Expression])
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    thorough: bool = True
    indexed: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    _constants: dict[float, models.Expression] = field(default_factory=dict[float, models.Expression])


def lower(expression: Expression, to: Lowering) -> models.Expression:
    """The Qdrant expression that means `expression`.

    Raises StrategyError: it reads the score of a candidate that there isn't. Raises QueryError: a request-time value is
    missing, or isn't a finite number.
    """
    known = to.compiled.get(id(expression))
    if known is not None:
        return known
    lowered = _lower(expression, to)
    if id(expression) in to.fixed:
        to.compiled[id(expression)] = lowered
    return lowered


def _lower(expression: Expression, to: Lowering) -> models.Expression:
    match expression:
        case nodes.Constant(value):
            return to.constant(value)
        case nodes.Sum(terms):
            return total(*(lower(term, to) for term in terms))
        case nodes.Product(factors):
            return product(*(lower(factor, to) for factor in factors))
        case nodes.Negative(operand):
            return negative(lower(operand, to))
        case nodes.Quotient(dividend, divisor, at_zero):
            default = None if at_zero is None else float(np.float32(at_zero))  # it travels as 32 bits
            return quotient(lower(dividend, to), lower(divisor, to), default)
        case nodes.Power(base, exponent):
            return power(lower(base, to), float(exponent))
        case nodes.When(condition, then, otherwise):
            return either(condition, lower(then, to), lower(otherwise, to))
        case nodes.Decay():
            target = None if expression.target == nodes.Constant(0.0) else lower(expression.target, to)
            return lower_decay(expression, lower(expression.operand, to), target, to)
        case nodes.Function(operand):
            return expression.lower(lower(operand, to), to)
        case nodes.Minimum(among):
            return to.least(*(lower(each, to) for each in among))
        case nodes.Maximum(among):
            return to.greatest(*(lower(each, to) for each in among))
        case nodes.Logarithm(operand, floor, base):
            floored = to.greatest(lower(operand, to), to.constant(floor))
            if base == "e":
                return models.LnExpression.model_construct(ln=floored)
            return models.Log10Expression.model_construct(log10=floored)
        case nodes.CandidateScore():
            return _score(expression, to)
        case nodes.Field(key, default):
            if (only := to.indexed.get(key)) is not None:
                to.defaults[key] = exact_constant(only)
                return key
            if default is None:
                return key
            most = sys.float_info.max if key in to.indexed else F32_MAX  # an index may keep any number
            return either(holds_number(key, to.thorough, most), key, to.constant(default))
        case nodes.Param():
            return to.constant(param_number(expression, to.params))
        case nodes.Affinity(key):
            weights, default = param_map(expression, to.params)
            constants = {category: to.constant(weight) for category, weight in weights.items()}
            return weigh_categories(key, constants, to.constant(default))
        case nodes.DatetimeField(key, moment):
            seconds = models.DatetimeKeyExpression(datetime_key=key)
            if moment is None:
                return seconds
            return either(holds_datetime(key, to.thorough), seconds, models.DatetimeExpression(datetime=iso(moment)))
        case nodes.GeoDistance(origin, key, metres):
            lat, lon = param_place(origin, to.params)
            place = models.GeoPoint(lat=lat, lon=lon)
            distance = models.GeoDistance(geo_distance=models.GeoDistanceParams(origin=place, to=key))
            if metres is None:
                return distance
            is_there = holds_place(key, place, to.capabilities.counts_members, to.thorough)
            return either(is_there, distance, to.constant(metres))
        case nodes.Now():
            return models.DatetimeExpression(datetime=iso(to.now or dt.datetime.now(dt.UTC)))
        case nodes.Instant(at):
            return models.DatetimeExpression(datetime=iso(at))
        case nodes.QueryTokens():
            return to.constant(token_count(expression, to.tokens))
        case nodes.RerankScore():
            raise StrategyError(MODEL_ELSEWHERE)
        case nodes.Raw(inner):
            return inner
        case _:
            raise TypeError(f"no lowering for {type(expression).__name__}")


def score_index(score: nodes.CandidateScore, candidates: Sequence[ScoreSource]) -> int:
    """The position of the candidate stage whose score is meant.

    Raises StrategyError: no stage has that name, several have it, or no name was given where there are several.
    """
    names = [candidate.name for candidate in candidates]
    listed = ", ".join(repr(name) for name in names)
    if score.name is None:
        if len(candidates) == 1:
            return 0
        raise StrategyError(f"score() is ambiguous over {len(candidates)} candidates: write score(name) with one of {listed}")
    match names.count(score.name):
        case 1:
            return names.index(score.name)
        case 0:
            raise StrategyError(f"no candidate is named {score.name!r}; there are {listed}")
        case _:
            raise StrategyError(f"several candidates are named {score.name!r}: tell them apart with name=…")


def _score(score: nodes.CandidateScore, to: Lowering) -> models.Expression:
    index = score_index(score, to.candidates)
    variable = f"$score[{index}]" if len(to.candidates) > 1 else "$score"
    is_distance = to.candidates[index].is_distance
    if len(to.candidates) > 1:
        default = -score.default if is_distance else score.default
        if to.defaults.setdefault(variable, default) != default:
            raise StrategyError(f"score({score.name!r}) has two different defaults in one formula")
    return negative(variable) if is_distance else variable
