"""Long things told in short: formulas of trees, coefficients with what was measured, requests of thousands of lines.

For people only: what is written to files and as JSON stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from .expressions.nodes import Constant, Expression, Negative, Product, Sum
from .feedback import RelevanceFeedback
from .rerank import Rerank
from .stages import Formula
from .strategies import Strategy

__all__ = ["abridged", "brief_strategy", "brief_term", "values_in"]

_LONGEST_TERM: Final = 60  # characters that are worth reading
_LONGEST: Final = 200  # characters of an expression
_STEP: Final = "1e+38"  # in what splits by numbers are compiled to (see learn.gates), and in nobody's own formulas
_TREE: Final = 160  # characters beyond which a text of choices is a tree's as well
_READ: Final = re.compile(r"""\b(?:score|field|given|datetime_field|geo_distance)\((?:name=)?['"]([^'"]+)|\bkey=['"]([^'"]+)""")
_NUMBER: Final = re.compile(r"constant\(([^()]*)\)")
_TERMS: Final = 6
_NAMES: Final = 6
_DEPTHS: Final = (14, 11, 9, 8, 7, 6, 5, 4, 3, 2)
_ITEMS: Final = 4  # of a list, where it is abridged
_FEW: Final = 3  # values that take no more place than saying how many they are


def brief_term(text: str, longest: int = _LONGEST_TERM) -> str:
    """A summand's text on one line; of a tree what it reads, of another one longer than `longest` the beginning."""
    flat = " ".join(text.split())
    if number := _NUMBER.fullmatch(flat):
        return _number(float(number[1]))
    if len(flat) <= longest:
        return flat
    if _is_tree(flat):
        flat = f"branch of a tree{_over(flat)}"
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def brief_strategy(strategy: Strategy) -> str:
    """The strategy's `repr`, long formulas told in short, and coefficients without what they were fitted to."""
    text = repr(strategy)
    for stage in strategy.stages():
        if isinstance(stage, Formula):
            text = text.replace(repr(stage.expression), _brief(stage.expression))
    below = strategy.candidate if isinstance(strategy, Rerank) else strategy
    if isinstance(below, RelevanceFeedback):
        weights = below.weights
        numbers = ", ".join(f"{name}={_number(getattr(weights, name))}" for name in ("a", "b", "c"))
        text = text.replace(repr(weights), f"Coefficients({numbers})")
    return text


def _is_tree(text: str) -> bool:
    return _STEP in text or (len(text) > _TREE and "when(" in text)


def _over(text: str) -> str:
    """What a text reads, by name."""
    names = list(dict.fromkeys(score or key for score, key in _READ.findall(text)))
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f" over {', '.join(names[:_NAMES])}{more}" if names else ""


def _brief(expression: Expression) -> str:
    text = repr(expression)
    if len(text) <= _LONGEST:
        return text
    if isinstance(expression, Sum):
        return _brief_sum(expression.terms)
    long = [operand for operand in expression.operands if len(repr(operand)) > _LONGEST_TERM]
    if len(long) == 1 and isinstance(long[0], Sum):  # as in sigmoid(a + b + …)
        return text.replace(repr(long[0]), _brief(long[0]))
    return f"{{{brief_term(text)}}}"


def _brief_sum(terms: Sequence[Expression]) -> str:
    """The first few terms that are no trees, how many more there are, and how many trees."""
    own: list[Expression] = []
    trees: list[Expression] = []
    for term in terms:
        (trees if _is_tree(repr(term)) else own).append(term)
    parts = [brief_term(repr(term)) for term in own[:_TERMS]]
    if left := len(own) - len(parts):
        parts.append(f"{{{left} other {'term' if left == 1 else 'terms'}}}")
    if trees:
        count = _trees(trees)
        parts.append(f"{{{count} {'tree' if count == 1 else 'trees'}{_over(' '.join(map(repr, trees)))}}}")
    return " + ".join(parts)


def _number(value: float) -> str:
    return f"{value:.4g}"


def _trees(branches: Sequence[Expression]) -> int:
    """How many trees the branches are of: the two sides of a first split stand one after the other."""
    return len(branches) - sum(_is_other_side(one, two) for one, two in pairwise(branches))


def _is_other_side(one: Expression, two: Expression) -> bool:
    if not (isinstance(one, Product) and isinstance(two, Product)):
        return False
    return two.factors[0] == Sum((Constant(1.0), Negative(one.factors[0])))


# Requests


def abridged(value: Any, fits: Callable[[Any], bool]) -> tuple[Any, int]:
    """A JSON value with its deepest parts and the ends of its lists left out until it fits, and how many values they hold.

    Args:
        value: a JSON value.
        fits: whether one is short enough. It is asked of larger ones first; the smallest is taken if none fits.
    """
    if fits(value):
        return value, 0
    made: Any = value
    for depth in _DEPTHS:
        made = _cut(value, depth)
        if fits(made):
            break
    return made, values_in(value) - _kept(made)


def values_in(value: Any) -> int:
    """How many numbers, texts and truth values a JSON value holds, at any depth."""
    return sum(1 for _ in _leaves(value))


def _kept(value: Any) -> int:
    return sum(1 for leaf in _leaves(value) if not isinstance(leaf, _LeftOut))


class _LeftOut(str):
    """What stands where something is left out."""


def _leaves(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as inside:
                waiting += inside.values()
            case list() as inside:
                waiting += inside
            case leaf:
                yield leaf


def _cut(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if depth == 0 and (count := values_in(value)) > _FEW:
        return _LeftOut(f"… {count:,} values")
    below = max(0, depth - 1)
    if isinstance(value, dict):
        return {key: _cut(item, below) for key, item in value.items()}
    if len(value) <= _ITEMS + 1:
        return [_cut(item, below) for item in value]
    left = value[_ITEMS:]
    return [*(_cut(item, below) for item in value[:_ITEMS]), _LeftOut(f"… {len(left):,} more ({values_in(left):,} values)")]
