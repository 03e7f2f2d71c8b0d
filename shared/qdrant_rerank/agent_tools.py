"""What an agent's search tool takes and answers, whatever the framework: arguments, caps, and texts for a language model.

A `ToolSpec` is made of a payload schema and the keys that the model may filter by. `read` makes a `ToolCall` of what a
model sent, or a text that says what to send instead; `answer` writes hits, `fail` a failure, so that a model can go on. Nothing
that a model sends raises. The filter that keeps tenants apart is no argument: `narrow` joins a run's with a call's, and the
retriever's own holds in every search.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model
from qdrant_client import models

from .capabilities import Capabilities
from .engine_errors import read_failure
from .errors import ClientError, FormatError, Lint, PayloadError, PlanError, QueryError, StrategyError, did_you_mean, warn
from .executor import AsyncExecutor, Executor
from .payload_mistakes import FIXED, find_filter_mistakes, find_keys, find_meant
from .payload_schema import PayloadSchema, PayloadType, ask_payload_schema
from .query import SearchOptions, Target, both, not_a_filter
from .request_parts import keys_in, restricts
from .schema import Schema, ask_schema
from .steps import Calls, Flow, arun, arun_calls, run, run_calls
from .strategies import Strategy
from .values import is_finite, is_whole

ToolKeys: TypeAlias = Sequence[str] | Mapping[str, PayloadType | None]
"""Payload keys that the model may filter by; or key → type, where None has the type looked up."""
ToolFilters: TypeAlias = "ToolKeys | PickedFilters"
"""These keys, or what was made of them."""
LowConfidence: TypeAlias = float | Literal["auto"] | None
"""Below which score the best document is said to be doubtful; by itself where scores are probabilities; or never."""
TOOL_NAME: Final = "search_documents"
TOOL_DESCRIPTION: Final = "Search the documents. Returns the texts that answer a question best, with their ids and scores."

_LONGEST_QUERY: Final = 2_000
_MOST_VALUES: Final = 50  # of one argument in one call
_SHOWN: Final = 40  # characters of a value in a result or a message
BYTES_OF_A_TOKEN: Final = 3
"""An estimate: English has about 4, and what has more bytes a character has fewer characters."""
_LEAST_BLOCK: Final = 240  # bytes of a hit that are of use
_LEAST_TOKENS: Final = 200
_DOUBTFUL: Final = 0.5  # of a probability of relevance
_RANGES: Final = ("integer", "float", "datetime")
USABLE: Final = ("keyword", "uuid", "bool", *_RANGES)
"""Types that a model can filter by."""
_SORTS: Final = {"day": "datetime"}  # what a sample tells apart, and a filter doesn't
_NOT_SET_UP: Final = (
    *("unauthorized", "forbidden", "not found", "strict mode", "too large", "wrong dimension", "wrong vector", "bad request"),
)
_NOT_THE_MODELS: Final = (
    *(PlanError, ClientError, StrategyError, QueryError, PayloadError, FormatError),
    *(TypeError, LookupError, AttributeError, NameError, ImportError, NotImplementedError),
)
"""Errors that other words of a model don't avert: a request-time value that is missing, a text that isn't where it should be,
a mistake in the program's encoder or reranker."""
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class FilterArgument:
    """A payload key that the model may filter by.

    Attributes:
        key: the payload path.
        name: what the model calls it; for numbers and date-times `min_` and `max_` stand before it.
        type: what is there; None if that isn't known, and values are compared as texts.
        values: values that there are.
        is_complete: whether there are no others, as far as is known.
        least, most: the range that was seen.
    """

    key: str
    name: str
    type: PayloadType | None = None
    values: tuple[str | int | bool, ...] = ()
    is_complete: bool = False
    least: float | str | None = None
    most: float | str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its arguments."""
        return (f"min_{self.name}", f"max_{self.name}") if self.type in _RANGES else (self.name,)

    def properties(self) -> dict[str, dict[str, Any]]:
        """The JSON Schema of each of its arguments."""
        if self.type in _RANGES:
            kind: dict[str, Any] = {"type": "number" if self.type == "float" else "integer"}
            if self.type == "datetime":
                kind = {"type": "string"}
            form = ", as 2026-01-31 or 2026-01-31T12:00:00Z" if self.type == "datetime" else ""
            seen = f"; there are about {self.least} to {self.most}" if self.least is not None else ""
            low, high = self.names
            return {
                low: {**kind, "description": f"Only documents whose {self.name} is at least this{form}{seen}."},
                high: {**kind, "description": f"Only documents whose {self.name} is at most this{form}{seen}."},
            }
        if self.type == "bool":
            return {self.name: {"type": "boolean", "description": f"Only documents whose {self.name} is this."}}
        items: dict[str, Any] = {"type": "string"}
        known = ""
        if self.is_complete:
            items["enum"] = list(self.values)
        elif self.values:
            known = f", e.g. {_list_briefly(self.values[:5])}"
        text = f"Only documents whose {self.name} is one of these{known}."
        return {self.name: {"type": "array", "items": items, "description": text}}


class PickedFilters(tuple[FilterArgument, ...]):
    """The arguments that `pick_filters` made of payload keys."""


@dataclass(frozen=True)
class ToolCall:
    """One call of the tool, checked and capped: what to search for, and how many documents.

    `filter` is what the model asks for, `filters` the same in words, by argument; `notes` tell the model what was changed, and
    `hints` what to try where nothing is found.
    """

    query: str
    k: int
    filter: models.Filter | None = None
    filters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToolHit:
    """A document that was found: its id, its score, its text, and the values of the keys that the model may filter by."""

    id: str
    score: float | None
    text: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class ToolSpec:
    """The arguments of a search tool, and its caps.

    Attributes:
        filters: what the model may filter by.
        max_k: the most documents of a call.
        k: how many there are unless the model says.
        max_tokens: how long an answer may be, estimated as three bytes a token.
        low_confidence: where scores are probabilities: the one below which the best hit is said to be doubtful.

    Raises:
        StrategyError: a number can't be.
    """

    filters: tuple[FilterArgument, ...] = ()
    max_k: int = 10
    k: int = 4
    max_tokens: int = 2_000
    low_confidence: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("max_k", 1), ("k", 1), ("max_tokens", _LEAST_TOKENS)):
            if not is_whole(value := getattr(self, name), least):
                raise StrategyError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.low_confidence is not None and not is_finite(self.low_confidence):
            raise StrategyError(f"low_confidence must be a score such as 0.5, 'auto' or None, got {self.low_confidence!r}")
        object.__setattr__(self, "k", min(self.k, self.max_k))

    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments; all but the query may be null, as strict schemas have a model send each of them."""
        properties: dict[str, Any] = {
            "query": {"type": "string", "description": "What to search for, in a few words or a sentence."},
            "k": {
                "type": "integer",
                "minimum": 1,
                "maximum": self.max_k,
                "description": f"How many documents to return; {self.k} unless given.",
            },
        }
        for each in self.filters:
            properties |= each.properties()
        for name in properties.keys() - {"query"}:
            properties[name] = _or_null(properties[name])
        return {"type": "object", "properties": properties, "required": ["query"], "additionalProperties": False}

    def model(self) -> type[BaseModel]:
        """A pydantic model that publishes `parameters()` and refuses nothing but no query: `read` tells what is wrong."""
        parameters = self.parameters()
        fields: dict[str, Any] = {
            name: (Annotated[Any, WithJsonSchema(each)], Field() if name == "query" else Field(default_factory=_nothing))
            for name, each in parameters["properties"].items()
        }

        def publish(schema: dict[str, Any]) -> None:
            schema.update(parameters)

        config = ConfigDict(extra="allow", json_schema_extra=publish, protected_namespaces=())
        return create_model("SearchArguments", __config__=config, **fields)

    def read(self, arguments: Mapping[str, Any]) -> ToolCall | str:
        """The call that these arguments mean, or a text that tells the model what to send instead."""
        known = ["query", "k", *(name for each in self.filters for name in each.names)]
        given = {str(name): value for name, value in arguments.items() if value is not None}
        if strange := [name for name in given if name not in known]:
            hint = did_you_mean(strange[0], known)
            there = ", ".join(known)
            return f"There is no argument {_brief(strange[0])}{hint or '.'} The arguments are {there}. Call again with those."
        query = given.get("query", "")
        if not isinstance(query, str):
            return "The argument query must be a text. Call again with what to search for."
        query = _clean(query)
        if not any(map(str.isalnum, query)):
            return "The argument query is empty. Call again with what to search for, in a few words or a sentence."
        notes: list[str] = []
        if len(query) > _LONGEST_QUERY:
            query = query[:_LONGEST_QUERY]
            notes.append(f"Only the first {_LONGEST_QUERY} characters of the query were used.")
        k = _number(given.get("k", self.k))
        if k is None:
            return f"The argument k must be a whole number from 1 to {self.max_k}. Call again with one, or without k."
        capped = int(max(1, min(k, self.max_k)))
        if capped != k:
            notes.append(f"k is {capped}: it is a whole number from 1 to {self.max_k}.")
        conditions: list[models.Condition] = []
        words: list[str] = []
        hints: list[str] = []
        for each in self.filters:
            try:
                conditions += _conditions(each, given, words, hints)
            except _Refusal as refusal:
                return _cut(str(refusal), self.max_tokens * BYTES_OF_A_TOKEN)
        filter = models.Filter(must=conditions) if conditions else None
        return ToolCall(query, capped, filter, tuple(words), tuple(notes), tuple(hints))

    def answer(self, call: ToolCall, hits: Sequence[ToolHit]) -> str:
        """The hits as text for a model, within the budget; what to try where there are none."""
        notes = "".join(f"{note}\n" for note in call.notes)
        if not hits:
            if call.filters:
                asked = _cut(" and ".join(call.filters), _LEAST_TOKENS)
                hints = "".join(f" {hint}" for hint in call.hints)
                said = f"{notes}No document was found with {asked}. Search again without some of these, or with other values."
                return _cut(said + hints, self.max_tokens * BYTES_OF_A_TOKEN)
            return (
                f"{notes}No document was found. Search again with other words; if none is found again, say that there is none."
            )
        best = max((hit.score for hit in hits if hit.score is not None), default=None)
        doubt = ""
        if self.low_confidence is not None and best is not None and best < self.low_confidence:
            doubt = (
                f"Low confidence: the best score is {best:.2f}, below {self.low_confidence:g}. The documents may not answer "
                "the question; say so if they don't.\n"
            )
        left = self.max_tokens * BYTES_OF_A_TOKEN
        most = max(1, min(len(hits), (left - len((notes + doubt).encode()) - 120) // _LEAST_BLOCK))
        found = "1 document was found." if len(hits) == 1 else f"{len(hits)} documents were found, the best first."
        head = f"{notes}{doubt}{found}"
        if most < len(hits):
            head += f" Of these, {most} are shown: the answer would be too long."
        parts = [_cut(head, left)]
        left -= len(parts[0].encode()) + 2
        for number, hit in enumerate(hits[:most], 1):
            block = _cut(_write_hit(number, hit), max(0, left // (most - number + 1) - 2))
            parts.append(block)
            left -= len(block.encode()) + 2
        return "\n\n".join(parts)

    def fail(self, error: BaseException) -> str:
        """What a model reads of a failed search: nothing of the error's own text, which may hold what it mustn't see."""
        end = "tell the user that the documents can't be searched at the moment."
        if isinstance(error, RuntimeFilterError):
            return (
                "Nothing was searched: the program that runs this tool didn't say which documents may be searched. No other "
                f"arguments change that, so don't call again; {end}"
            )
        kind, failure = type(error).__name__, read_failure(error)
        if isinstance(error, _NOT_THE_MODELS) or failure.kind in _NOT_SET_UP or failure.is_formula_s:
            return f"The search failed ({kind}): the tool isn't set up as it should be. Don't call again; {end}"
        if failure.passes:
            return f"The search failed ({kind}): there was no answer in time. Call again once; if it fails again, {end}"
        return f"The search failed ({kind}). Call again once, with other words; if it fails again, {end}"


def check_retriever(retriever: object, ours: type) -> None:
    """Refuse what is no retriever of this package. Raises TypeError, which says how to make one."""
    if not isinstance(retriever, ours):
        raise TypeError(
            f"a search tool is made of a {ours.__name__}, got {type(retriever).__name__}: make one of your store by "
            f"{ours.__name__}.from_vector_store(store, …)"
        )


def narrow(call: ToolCall, runtime_filter: Callable[[], object] | None) -> models.Filter | None:
    """The filter of a call, within the one that a run brings. Raises RuntimeFilterError where it brings none."""
    if runtime_filter is None:
        return call.filter
    try:
        only = runtime_filter()
    except Exception as error:
        raise RuntimeFilterError(f"runtime_filter failed with a {type(error).__name__}; nothing was searched") from error
    if not isinstance(only, models.Filter):
        raise RuntimeFilterError(f"runtime_{not_a_filter(only)}; nothing was searched")
    if not restricts(only):
        raise RuntimeFilterError(
            "runtime_filter gave a filter without a condition, which keeps nothing out; nothing was searched"
        )
    return both(only, call.filter)


def pick_filters(
    filters: ToolKeys,
    schema: PayloadSchema,
    fixed: models.Filter | None = None,
    *,
    anywhere: Mapping[str, tuple[str, ...]] | None = None,
    only_types: bool = False,
) -> PickedFilters:
    """The arguments for these payload keys.

    Args:
        filters: payload keys, e.g. `metadata.category`; or key → type, where None has the type looked up.
        schema: what is known of the payload, through the filters that each search is within.
        fixed: the retriever's fixed filter, whose keys aren't the model's.
        anywhere: payload keys, with types, of points that the filters may keep out: for where they leave too few to tell by.
        only_types: whether values and ranges are left out, as they may be other tenants'.

    Raises:
        StrategyError: a key is not there, can't be filtered by, or is one of the fixed filter's; or a type is none, or
            another than the values'.
    """
    if isinstance(filters, str):
        raise StrategyError(f"filters takes payload keys in a list, got the text {filters!r}")
    hidden, taken, made = filter_keys(fixed), {"query", "k"}, list[FilterArgument]()
    types = filters if isinstance(filters, Mapping) else {}
    known: Mapping[str, Sequence[str]] = {each.key: tuple(each.types) for each in schema.keys} or anywhere or {}
    plain = {each.replace("[]", ""): each for each in known}
    for key in dict.fromkeys(filters):
        if key.replace("[]", "") in hidden:
            raise StrategyError(
                f"{key!r} is in the retriever's fixed_filter, which a model must not name: leave it out of filters"
            )
        found, kind = schema.get(key), types.get(key)
        there: Sequence[str] = known.get(key, ())
        if kind is not None and kind not in USABLE:
            raise StrategyError(
                f"filters={{{key!r}: {kind!r}}}: there is no such type to filter by{did_you_mean(str(kind), USABLE) or '.'} "
                f"Types are {', '.join(USABLE)}; with None it is looked up"
            )
        if known and key not in known and kind is None:
            meant = find_meant(key.replace("[]", ""), plain)
            hint = "." if meant is None else f": did you mean {plain[meant]!r}?"
            raise StrategyError(
                f"no point that was looked at has {key!r}{hint} For a rare key give its type: filters={{{key!r}: 'keyword'}}"
            )
        if kind is not None and there and not any(_is_alike(kind, each) for each in there):
            raise StrategyError(
                f"filters={{{key!r}: {kind!r}}}: the points that were looked at hold {' and '.join(there)} values there, which "
                f"such a filter never finds: leave the type to the look-up, filters={{{key!r}: None}}"
            )
        kind = kind or cast("PayloadType | None", next(iter(there), None if found is None else found.index))
        if kind is not None and kind not in USABLE:
            raise StrategyError(f"{key!r} holds {kind} values; a model can filter by {', '.join(USABLE)}")
        name = _name(key, taken, kind)
        argument = FilterArgument(key, name, kind)
        if found is not None and not only_types:
            values = tuple(each.value for each in found.values if isinstance(each.value, str))
            complete = found.is_complete and len(values) == len(found.values) and bool(values)
            argument = FilterArgument(key, name, kind, values, complete, found.least, found.most)
        taken |= set(argument.names)
        made.append(argument)
    return PickedFilters(made)


def _is_alike(kind: str, other: str) -> bool:
    """Whether a filter for values of one type finds those of the other: both are numbers, or both texts of some kind."""
    numbers, texts = ("integer", "float"), ("keyword", "text", "uuid")
    return kind == other or any(kind in each and other in each for each in (numbers, texts))


def ask_filters(
    executor: Executor,
    filters: ToolKeys,
    own: models.Filter | None = None,
    *,
    only_types: bool = False,
    report: Callable[[Lint], None] = warn,
) -> PickedFilters:
    """The arguments for these payload keys, of what the executor's fixed filter and the retriever's `own` let see.

    `report` is called with mistakes in these filters: keys that no point has.
    """
    return run_calls(_ask_filters(executor, executor.clients.sync, run, filters, own, only_types, report))


async def aask_filters(
    executor: AsyncExecutor, filters: ToolKeys, own: models.Filter | None = None, *, only_types: bool = False
) -> PickedFilters:
    """As `ask_filters`, without blocking the event loop."""
    return await arun_calls(_ask_filters(executor, executor.clients.asynchronous, arun, filters, own, only_types, warn))


def _ask_filters(
    executor: Executor | AsyncExecutor,
    open_client: Callable[[], Any],
    run_flow: Callable[..., Any],
    filters: ToolKeys,
    own: models.Filter | None,
    only_types: bool,
    report: Callable[[Lint], None],
) -> Calls[PickedFilters]:
    fixed, schema, collection = executor.fixed_filter, PayloadSchema(executor.collection), None
    if filters:
        collection = yield from ask_schema(open_client(), schema.collection)
        schema = yield from ask_payload_schema(open_client(), collection, both(fixed, own))
    mistakes, anywhere = list[Lint](), dict[str, tuple[str, ...]]()
    if fixed is not None or own is not None:
        with suppress(Exception):  # the first search says what is wrong
            if collection is None:
                collection = yield from ask_schema(open_client(), schema.collection)
            target = Target(collection, Capabilities((0, 0, 0), executor.clients.engine), executor.payload)
            mistakes, anywhere = yield partial(run_flow, _look_beyond(fixed, own, target), executor)
    for each in mistakes:
        report(each)
    return pick_filters(filters, schema, fixed, anywhere=anywhere, only_types=only_types)


def _look_beyond(
    fixed: models.Filter | None, own: models.Filter | None, target: Target
) -> Flow[tuple[list[Lint], Mapping[str, tuple[str, ...]]]]:
    """Mistakes in the keys of filters that hold in every call, and the keys that the points beyond them have."""
    mistakes, options = list[Lint](), SearchOptions()
    for filter, whose in ((fixed, FIXED), (own, "the retriever's filter")):
        if filter is not None:
            mistakes += yield from find_filter_mistakes(filter, whose, target, options)
    found = yield from find_keys(target, options, beyond=True)
    return mistakes, {key: tuple(_SORTS.get(each, each) for each in types) for key, types in found.items()}


def cap_k(max_k: int, strategy: Strategy, options: SearchOptions) -> int:
    """The most documents of a call, where the strategy can give as many: it may read or keep fewer candidates.

    `options` are those of each call, beside its `k`.
    """
    if not is_whole(max_k, 1):
        return max_k  # which `ToolSpec` refuses
    target = Target(Schema("", {}), Capabilities((0, 0, 0), "local"))

    def is_beyond(k: int) -> bool:
        return any(strategy.options_problems(replace(options, limit=k), target))

    if not is_beyond(max_k) or is_beyond(1):  # what one can't have is told by the first search
        return max_k
    return bisect_left(range(1, max_k + 1), True, key=is_beyond)


def pick_threshold(low_confidence: LowConfidence, strategy: Strategy) -> float | None:
    """The score below which the best document is said to be doubtful; None for none.

    `low_confidence` is the score, or "auto" for 0.5 where the strategy's scores are calibrated, and none elsewhere.
    """
    if low_confidence != "auto":
        return low_confidence
    return _DOUBTFUL if strategy.calibrated else None


def name_arguments(args: Sequence[Any], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a tool was called with, by name; a lone text is the query."""
    return {"query": args[0], **arguments} if args else arguments


def filter_keys(filter: models.Filter | None) -> set[str]:
    """The payload keys that a filter's conditions are about, without the `[]` of arrays."""
    return set() if filter is None else {key.replace("[]", "") for key in keys_in(filter)}


class RuntimeFilterError(StrategyError):
    """The program that runs a tool gives no filter to search within."""


class _Refusal(Exception):
    """A model's argument is wrong; it reads this message."""


def _conditions(
    each: FilterArgument, given: Mapping[str, Any], words: list[str], hints: list[str]
) -> Iterator[models.Condition]:
    """The conditions that the arguments for one key mean; adds them in words, and what values there were."""
    present = [name for name in each.names if name in given]
    if not present:
        return
    if each.type in _RANGES:
        yield from _range(each, given, words)
        return
    name, value = each.name, given[each.name]
    if each.type == "bool":
        flag = {"true": True, "false": False}.get(str(value).lower())
        if flag is None:
            raise _Refusal(f"The argument {name} must be true or false. Call again with one of them, or without {name}.")
        words.append(f"{name}={str(flag).lower()}")
        yield models.FieldCondition(key=each.key, match=models.MatchValue(value=flag))
        return
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        return
    if len(items) > _MOST_VALUES or not all(isinstance(item, str | int) for item in items):
        raise _Refusal(f"The argument {name} must be a list of at most {_MOST_VALUES} texts. Call again so, or without {name}.")
    folded = {str(known).casefold(): str(known) for known in each.values}
    texts = [folded.get(str(item).strip().casefold(), _clean(str(item))) for item in items]
    strange = [text for text in texts if text not in each.values]
    if each.is_complete and strange:  # it may be there by now: the values are those of when the tool was made
        hint = did_you_mean(_brief(strange[0])[1:-1], [str(known) for known in each.values])
        said = f"When this tool was made, no document had {name}={_brief(strange[0])}{hint or '.'}"
        hints.append(f"{said} There were {_list_briefly(each.values)}.")
    words.append(f"{name}={' or '.join(map(_brief, texts[:5]))}")
    yield models.FieldCondition(key=each.key, match=models.MatchAny(any=texts))


def _range(each: FilterArgument, given: Mapping[str, Any], words: list[str]) -> Iterator[models.FieldCondition]:
    low_name, high_name = each.names
    bounds: dict[str, Any] = {}
    for name, bound in ((low_name, "gte"), (high_name, "lte")):
        value = given.get(name)
        if value is None:
            continue
        read = _moment(value) if each.type == "datetime" else _number(value)
        if isinstance(read, dt.datetime) and _is_no_limit(read, bound):
            continue
        if read is None:
            what = "a date such as 2026-01-31" if each.type == "datetime" else "a number"
            raise _Refusal(f"The argument {name} must be {what}. Call again with one, or without {name}.")
        if isinstance(read, dt.datetime) and bound == "lte" and _DAY.fullmatch(str(value).strip()):
            read, bound = read + dt.timedelta(days=1), "lt"  # to the end of that day
        bounds[bound] = read
        words.append(f"{name}={_write_value(value if isinstance(read, dt.datetime) else read)}")
    kind = models.DatetimeRange if each.type == "datetime" else models.Range
    if bounds:
        yield models.FieldCondition(key=each.key, range=kind(**bounds))


def _number(value: Any) -> float | int | None:
    """The finite number that a model means; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _moment(value: Any) -> dt.datetime | None:
    """The moment that an ISO 8601 text names; None if it names none."""
    try:
        moment = dt.datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    try:
        return moment.replace(tzinfo=moment.tzinfo or dt.UTC).astimezone(dt.UTC)
    except OverflowError:  # before the first year or after the last in UTC
        return moment.replace(tzinfo=dt.UTC)


def _is_no_limit(moment: dt.datetime, bound: str) -> bool:
    """Whether a model means by the first or the last year of the calendar that there is no bound."""
    return moment.year == (dt.MAXYEAR if bound == "lte" else dt.MINYEAR)


def _name(key: str, taken: set[str], kind: PayloadType | None) -> str:
    """What a model calls a key: its last part, or all of it where that is taken."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", key) if part]
    for count in range(1, len(parts) + 1):
        name = "_".join(parts[-count:])
        name = f"field_{name}" if not name[0].isalpha() else name
        if not taken & set(FilterArgument(key, name, kind).names):
            return name
    number = next(n for n in range(2, len(taken) + 9) if not taken & set(FilterArgument(key, f"field_{n}", kind).names))
    return f"field_{number}"


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an argument that may be left out, as pydantic writes what may be None."""
    kept = {name: value for name, value in schema.items() if name != "description"}
    return {"anyOf": [kept, {"type": "null"}], "description": schema["description"]}


def _nothing() -> None:
    """A default that JSON Schemas don't show."""


def _write_hit(number: int, hit: ToolHit) -> str:
    score = "" if hit.score is None else f" score={hit.score:.4g}"
    values = "".join(f" {name}={_write_value(value)}" for name, value in hit.values.items() if value is not None)
    return f"[{number}] id={hit.id}{score}{values[:400]}\n{hit.text}"


def _write_value(value: Any) -> str:
    """A value as it stands in an answer: texts in quotes, numbers and all else as JSON has them."""
    if isinstance(value, str):
        return _brief(value)
    text = _clean(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _brief(text: str) -> str:
    text = _clean(text)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _clean(text: str) -> str:
    """The text as UTF-8 can hold it, on one line."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").split())


def _list_briefly(values: Sequence[object]) -> str:
    return ", ".join(_brief(str(value)) for value in values)


def _cut(text: str, most: int) -> str:
    """The text in at most so many bytes of UTF-8, with an ellipsis where it is cut."""
    held = text.encode("utf-8", "replace")
    if len(held) <= most:
        return held.decode("utf-8")
    return held[: max(0, most - 3)].decode("utf-8", "ignore") + "…"
