"""How one engine sees payload: paths, the values that payload indexes keep, date-times and the words of full-text indexes.

Each path is parsed once however many points it is read of. Date-times are read as Qdrant reads them: RFC 3339, and the laxer
forms that it takes as well. Python's own dates end at the year 9999 and at microseconds; Qdrant's don't, so moments are whole
numbers of nanoseconds since 1970 here. Formulas and payload indexes know microseconds, conditions on payload without an index
know every digit. Words are split here where that can be done: not in every language.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from qdrant_client import models
from qdrant_client.local.json_path_parser import JsonPathItemType, parse_json_path
from qdrant_client.local.payload_value_extractor import value_by_key

from ..capabilities import Capabilities

_SECOND: Final = 1_000_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST_YEAR, _LAST_YEAR = -262_143, 262_142
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097  # after which the calendar repeats

# Unicode's white space: Python's \s takes four more characters. Numbers give nothing back (`+`), as the engine's don't.
_W: Final = r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
_YEAR: Final = rf"{_W}(?P<year>[+-]\d++|\d{{1,4}}+)"
_SECONDS: Final = rf"{_W}(?P<second>\d{{1,2}}+)(?:\.(?P<fraction>\d++))?"
_SIGNED: Final = r"(?P<sign>[+\u2212-])(?P<hours>\d\d)(?::|{w})*".replace("{w}", _W.removesuffix("*"))
_FORMS: Final = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"{_YEAR}{_W}-{_W}(?P<month>\d{{1,2}}+){_W}-{_W}(?P<day>\d{{1,2}}+)[Tt ]{_W}(?P<hour>\d{{1,2}}+){_W}:{_W}"
        rf"(?P<minute>\d{{1,2}}+){_W}:{_SECONDS}{_W}(?:[Zz]|[Uu][Tt][Cc]|{_SIGNED}(?P<minutes>[0-5]\d)){_W}",
        rf"{_YEAR}-{_W}(?P<month>\d{{1,2}}+)-{_W}(?P<day>\d{{1,2}}+)(?:T|{_W}){_W}(?P<hour>\d{{1,2}}+):{_W}"
        rf"(?P<minute>\d{{1,2}}+):{_SECONDS}{_W}(?:[Zz]|{_SIGNED}(?P<minutes>[0-5]\d)?)",
        rf"{_YEAR}-{_W}(?P<month>\d{{1,2}}+)-{_W}(?P<day>\d{{1,2}}+)"
        rf"(?:(?:T|{_W}){_W}(?P<hour>\d{{1,2}}+):{_W}(?P<minute>\d{{1,2}}+)(?::{_SECONDS})?)?",
    )
)


@lru_cache(maxsize=4096)
def nanoseconds(text: str) -> int | None:
    """The moment that the text says, in nanoseconds since 1970; None where it says none. UTC where it has no time zone."""
    for form in _FORMS:
        if (found := form.fullmatch(text)) is not None:
            return _moment(found.groupdict(default=""))
    return None


def nanoseconds_of(moment: dt.datetime | dt.date) -> int:
    """The same of one of Python's own; UTC where it has no time zone, midnight where it is a day."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def _moment(parts: dict[str, str]) -> int | None:
    try:
        year, month, day = int(parts["year"]), int(parts["month"]), int(parts["day"])
    except ValueError:  # Python reads no number of more than 4300 digits
        return None
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    hours, minutes = int(parts.get("hours") or 0), int(parts.get("minutes") or 0)
    # 60 seconds are a leap second, in whatever minute
    if not _FIRST_YEAR <= year <= _LAST_YEAR or hour > 23 or minute > 59 or second > 60 or hours > 23:
        return None
    like = 2000 + year % _CYCLE_YEARS
    try:
        days = dt.date(like, month, day).toordinal() - _EPOCH.toordinal()
    except ValueError:
        return None
    days += (year - like) // _CYCLE_YEARS * _CYCLE_DAYS
    offset = (hours * 60 + minutes) * (1 if parts.get("sign") == "+" else -1)
    seconds = days * 86_400 + (hour * 60 + minute - offset) * 60 + second
    return seconds * _SECOND + int(parts["fraction"][:9].ljust(9, "0"))


BOUNDARY: Final = "\0"
"""Stands between the texts of a list, so that no phrase goes across."""

# Characters of words that Python's isalnum() doesn't take for any: vowel signs, letters in circles, and those that are younger
# than Python's tables. Unicode 17's property Alphabetic, in hexadecimal.
_ALSO_LETTERS: Final = (
    "345 363-36f 558 58b-58c 5b0-5bd 5bf 5c1-5c2 5c4-5c5 5c7-5c9 610-61a 64b-657 659-65f 670 6d6-6dc 6e1-6e4 6e7-6e8 6ed "
    "711 730-73f 7a6-7b0 816-817 81b-823 825-827 829-82c 88f 897 8d4-8df 8e3-8e9 8f0-903 93a-93b 93e-94c 94e-94f 955-957 "
    "962-963 981-983 9be-9c4 9c7-9c8 9cb-9cc 9d7 9e2-9e3 a01-a03 a3e-a42 a47-a48 a4b-a4c a51 a70-a71 a75 a81-a83 abe-ac5 "
    "ac7-ac9 acb-acc ae2-ae3 afa-afc b01-b03 b3e-b44 b47-b48 b4b-b4c b56-b57 b62-b63 b82 bbe-bc2 bc6-bc8 bca-bcc bd7 "
    "c00-c04 c3e-c44 c46-c48 c4a-c4c c55-c56 c5c c62-c63 c81-c83 cbe-cc4 cc6-cc8 cca-ccc cd5-cd6 cdc ce2-ce3 cf3 d00-d03 "
    "d3e-d44 d46-d48 d4a-d4c d57 d62-d63 d81-d83 dcf-dd4 dd6 dd8-ddf df2-df3 e31 e34-e3a e4d eb1 eb4-eb9 ebb-ebc ecd "
    "f71-f83 f8d-f97 f99-fbc 102b-1036 1038 103b-103e 1056-1059 105e-1060 1062-1064 1067-106d 1071-1074 1082-108d 108f "
    "109a-109d 1712-1713 1732-1733 1752-1753 1772-1773 17b6-17c8 1885-1886 18a9 1920-192b 1930-1938 1a17-1a1b 1a55-1a5e "
    "1a61-1a74 1abf-1ac0 1acc-1ace 1b00-1b04 1b35-1b43 1b80-1b82 1ba1-1ba9 1bac-1bad 1be7-1bf1 1c24-1c36 1c89-1c8a "
    "1dd3-1df4 208f 209d-209f 24b6-24e9 2de0-2dff a674-a67b a69e-a69f a7cb-a7cf a7d2 a7d4 a7da-a7dd a7e2 a7f1 a802 a80b "
    "a823-a827 a880-a881 a8b4-a8c3 a8c5 a8ff a926-a92a a947-a952 a980-a983 a9b4-a9bf a9e5 aa29-aa36 aa43 aa4c-aa4d "
    "aa7b-aa7d aab0 aab2-aab4 aab7-aab8 aabe aaeb-aaef aaf5 ab6c-ab6d abe3-abea fb1e 10376-1037a 105c0-105f3 107bb-107bf "
    "10940-10959 10a01-10a03 10a05-10a06 10a0c-10a0f 10d24-10d27 10d40-10d65 10d69 10d6f-10d85 10eab-10eac 10ec2-10ec7 "
    "10ecb-10ecd 10ed9-10eee 10ef3 10ef5 10ef7-10ef8 10efa-10efc 11000-11002 11038-11045 11073-11074 11080-11082 "
    "110b0-110b8 110c2 11100-11102 11127-11132 11145-11146 11180-11182 111b3-111bf 111ce-111cf 1122c-11234 11237 "
    "1123e-11241 112df-112e8 11300-11303 1133e-11344 11347-11348 1134b-1134c 11357 11362-11363 11380-11389 1138b 1138e "
    "11390-113b5 113b7-113c0 113c2 113c5 113c7-113ca 113cc-113cd 113d1 113d3 11435-11441 11443-11445 114b0-114c1 "
    "115af-115b5 115b8-115be 115dc-115dd 11630-1163e 11640 116ab-116b5 116d0-116e3 1171d-1172a 1182c-11838 11930-11935 "
    "11937-11938 1193b-1193c 11940 11942 119d1-119d7 119da-119df 119e4 11a01-11a0a 11a35-11a39 11a3b-11a3e 11a51-11a5b "
    "11a8a-11a97 11b0a 11b60-11b67 11bc0-11be0 11bf0-11bf9 11c2f-11c36 11c38-11c3e 11c92-11ca7 11ca9-11cb6 11d31-11d36 "
    "11d3a 11d3c-11d3d 11d3f-11d41 11d43 11d47 11d8a-11d8e 11d90-11d91 11d93-11d96 11db0-11ddb 11de0-11de9 11df0-11df1 "
    "11ef3-11ef6 11f00-11f10 11f12-11f3a 11f3e-11f40 11f50-11f59 1246f 12475-1247f 12550-12686 1342f 13441-13446 "
    "13460-143fa 16100-1612e 16130-16139 16d40-16d6c 16d70-16d79 16ea0-16eb8 16ebb-16ed3 16f4f 16f51-16f87 16f8f-16f92 "
    "16ff0-16ff6 187f8-187ff 18cd6-18cda 18cff 18d09-18d20 18d80-18df2 18e00-19191 191a0-191d2 1b123-1b128 1b132 1b155 "
    "1b168 1bc9e 1ccf0-1ccf9 1d2c0-1d2d3 1d6a6 1df1f-1df81 1df90-1df96 1dfcd-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 "
    "1e026-1e02a 1e030-1e06d 1e08f 1e4d0-1e4eb 1e4f0-1e4f9 1e5d0-1e5ed 1e5f0-1e5fa 1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff "
    "1e947 1f130-1f149 1f150-1f169 1f170-1f189 2b739-2b73f 2b81e 2cea2-2cead 2ebf0-2ee5d 31350-33479 3d000-3fc3f "
)
# Unicode's white space; Python's split() takes four more characters
_BLANKS: Final = re.compile(r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


@lru_cache(maxsize=1)
def _letters() -> frozenset[str]:
    ranges = (span.partition("-") for span in _ALSO_LETTERS.split())
    return frozenset(chr(code) for low, _, high in ranges for code in range(int(low, 16), int(high or low, 16) + 1))


def split_words(text: str) -> list[str]:
    """Runs of letters and digits."""
    if text.isascii():
        return re.findall(r"[0-9A-Za-z]+", text)
    also = _letters()
    return "".join(sign if sign.isalnum() or sign in also else " " for sign in text).split(" ")


def split_blanks(text: str) -> list[str]:
    """What stands between blanks."""
    return _BLANKS.split(text)


def plain_words(text: str) -> list[str]:
    """The words of a text without an index, in lower case."""
    return [word.lower() for word in split_words(text) if word]


def holds_phrase(words: list[str], phrase: list[str]) -> bool:
    """Whether the words of a phrase, of which there is at least one, follow each other."""
    length = len(phrase)
    return bool(phrase) and any(words[at : at + length] == phrase for at in range(len(words) - length + 1))


class Tokenizer:
    """What one full-text index takes for words; `unknown` is why they can't be split here, "" where they can."""

    def __init__(self, params: models.TextIndexParams | None) -> None:
        given = {} if params is None else {name: value for name, value in params if value is not None}
        self._kind = str(getattr(given.get("tokenizer"), "value", given.get("tokenizer", "word")))
        self._lowercase = bool(given.get("lowercase", True))
        self._least, self._most = given.get("min_token_len"), given.get("max_token_len")
        self.phrases = bool(given.get("phrase_matching", False))
        stopwords = given.get("stopwords")
        custom = (getattr(stopwords, "custom", None) or []) if isinstance(stopwords, models.StopwordsSet) else []
        self._stopwords = {word.lower() if self._lowercase else word for word in custom}
        self.unknown = next(self._unknowns(given), "")

    def _unknowns(self, given: dict[str, Any]) -> Iterator[str]:
        if self._kind not in ("word", "whitespace", "prefix"):
            yield f"splits text by the {self._kind} tokenizer"
        if (stemmer := given.get("stemmer")) is not None and getattr(stemmer, "type", "") != "disabled":
            yield "stems words"
        if given.get("ascii_folding"):
            yield "folds letters to ASCII"
        stopwords = given.get("stopwords")
        if stopwords is not None and (not isinstance(stopwords, models.StopwordsSet) or stopwords.languages):
            yield "leaves out a language's stop words"

    def document(self, text: str) -> list[str]:
        """The words of a stored text, in order."""
        if self._kind == "prefix":
            return [start for word in split_words(text) for start in self._starts(word)]
        words = split_blanks(text) if self._kind == "whitespace" else split_words(text)
        return [kept for word in words if (kept := self._normalise(word, self._most))]

    def query(self, text: str) -> list[str]:
        """The words that a text match asks for."""
        if self._kind != "prefix":
            return self.document(text)
        # what is typed so far may be a stop word: the start of another word
        words = (word.lower() if self._lowercase else word for word in split_words(text) if word)
        return [word[: self._most] for word in words if len(word) >= (self._least or 0)]

    def _normalise(self, word: str, most: int | None) -> str:
        """The word as it is kept; empty if it isn't."""
        kept = word.lower() if self._lowercase else word
        too_long = most is not None and len(kept) > most
        return "" if kept in self._stopwords or len(kept) < (self._least or 0) or too_long else kept

    def _starts(self, word: str) -> Iterator[str]:
        """All that a word begins with, from the least length to the greatest."""
        kept = self._normalise(word, None)
        for length in range(self._least or 1, min(self._most or len(kept), len(kept)) + 1 if kept else 0):
            yield kept[:length]


_BRACKETS: Final = re.compile(r"^(.*?)((?:\[\d*\])*)$", re.DOTALL)

Reader: TypeAlias = Callable[[Mapping[str, Any]], "list[Any] | None"]


@lru_cache(maxsize=1024)
def reader(key: str) -> Reader:
    """What reads the values at a path of a payload: several of an array, None where there are none.

    It gives what qdrant-client's `value_by_key` gives, which parses the path anew for each payload: four fifths of the time of
    a formula computed here went there.
    """
    items = parse_json_path(key)
    if any(item.item_type != JsonPathItemType.KEY for item in items):
        return lambda payload: value_by_key(dict(payload), key)
    read = array_reader(key)

    def flat(payload: Mapping[str, Any]) -> list[Any] | None:
        [value] = read(payload) or [[]]
        return (value or None) if isinstance(value, list) else [value]

    return flat


@lru_cache(maxsize=1024)
def array_reader(key: str) -> Reader:
    """As `reader`, with arrays as they are stored: one value for a path without `[]`."""
    items = parse_json_path(key)
    if any(item.item_type != JsonPathItemType.KEY for item in items):
        return lambda payload: value_by_key(dict(payload), key, flat=False)
    names = tuple(item.key for item in items)
    if len(names) == 1:
        only: Any = names[0]
        return lambda payload: [payload[only]] if only in payload else None

    def read(payload: Mapping[str, Any]) -> list[Any] | None:
        value: Any = payload
        for name in names:
            if not isinstance(value, Mapping) or name not in value:
                return None
            value = value[name]
        return [value]

    return read


@lru_cache(maxsize=1024)
def path_problem(key: str) -> str:
    """What to say of a key that is no path of Qdrant's, with the form that is one; "" if it is one."""
    if is_path(key):
        return ""
    if quoted := quote(key):
        return f"{key!r} is no payload path that Qdrant reads: quote what isn't made of letters, digits, _ and -: {quoted!r}"
    return f"{key!r} is no payload path that Qdrant reads, and can't be quoted: rename the key"


def is_path(key: object) -> bool:
    """Whether Qdrant reads it as the path to a payload value."""
    try:
        parse_json_path(key if isinstance(key, str) else "")
    except ValueError:
        return False
    return True


def quote(key: object) -> str:
    """The key with its names in quotation marks where they need them: `a.b c` becomes `a."b c"`; "" where that is no path."""
    if not isinstance(key, str):
        return ""
    found = ".".join(name if is_path(name) else _BRACKETS.sub(r'"\1"\2', name, count=1) for name in key.split("."))
    return found if key and is_path(found) else ""


def group_keys(payload: Mapping[str, Any], group_by: str) -> list[Any]:
    """The groups that a point is in: by each text or whole number under the key; in none if there is something else."""
    values = reader(group_by)(payload) or []
    if any(type(value) not in (int, str) for value in values):  # a bool is an int to isinstance
        return []
    return list(dict.fromkeys(values))


_Type = models.PayloadSchemaType
_MOST, _LEAST = 2**63 - 1, -(2**63)


@dataclass(frozen=True)
class Index:
    """One payload index, with what it was made with beyond its type; None if that isn't known."""

    kind: models.PayloadSchemaType
    params: Any = None

    @property
    def serves_ranges(self) -> bool:
        """Whether it answers ranges of numbers."""
        return self.kind == _Type.FLOAT or (self.kind == _Type.INTEGER and getattr(self.params, "range", None) is not False)

    @property
    def serves_matches(self) -> bool:
        """Whether it answers exact matches of values of its type."""
        if self.kind == _Type.INTEGER:
            return getattr(self.params, "lookup", None) is not False
        return self.kind in (_Type.KEYWORD, _Type.UUID, _Type.BOOL)

    def values(self, stored: Sequence[Any]) -> list[Any]:
        """What the index keeps of a key's values: numbers, texts, or microseconds; the rest is hidden."""
        return [kept for value in elements(stored) if (kept := self.keep(value)) is not None]

    def keep(self, value: Any) -> Any:
        """What it keeps of one value; None for nothing."""
        match self.kind:
            case _Type.FLOAT:
                return float_of(value)
            case _Type.INTEGER:
                return _whole(value)
            case _Type.KEYWORD | _Type.TEXT:
                return value if isinstance(value, str) else None
            case _Type.BOOL:
                return value if isinstance(value, bool) else None
            case _Type.UUID:
                return uuid_of(value)
            case _Type.DATETIME:
                moment = nanoseconds(value) if isinstance(value, str) else None
                return None if moment is None else moment // 1000
            case _:  # a geo index
                return place if (place := place_of(value)) is not None and is_on_earth(place) else None


@dataclass(frozen=True)
class View:
    """What an engine makes of payload.

    Attributes:
        capabilities: whose eyes they are; None for qdrant-client's local mode, whatever its version.
        indexes: the payload indexes, by key.
        thorough: whether formulas make sure that a key holds just one value.
    """

    capabilities: Capabilities | None = None
    indexes: Mapping[str, Index] = field(default_factory=lambda: MappingProxyType({}))
    thorough: bool = True

    @property
    def is_local(self) -> bool:
        """Whether qdrant-client decides, which has no indexes."""
        return self.capabilities is None or self.capabilities.engine == "local"

    def index(self, key: str) -> Index | None:
        """The index on a key."""
        return None if self.is_local else self.indexes.get(key)

    def enter(self, path: str) -> View:
        """The view of the objects in a list: full-text indexes alone count there."""
        prefix = f"{path}."
        inner = {
            key.removeprefix(prefix): index
            for key, index in self.indexes.items()
            if key.startswith(prefix) and index.kind == _Type.TEXT
        }
        return View(self.capabilities, inner, self.thorough)

    def tokenizer(self, key: str) -> Tokenizer | None:
        """What the full-text index on a key takes for words; None if there is none."""
        index = self.index(key)
        return Tokenizer(index.params) if index is not None and index.kind == _Type.TEXT else None


def elements(stored: Sequence[Any]) -> list[Any]:
    """A key's values, lists taken apart: one level, as engines do."""
    return [each for value in stored for each in (value if isinstance(value, list) else (value,))]


def float_of(value: Any) -> float | None:
    """A JSON number as a 64-bit float; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # no engine takes such a number
        return None


def _whole(value: Any) -> int | None:
    """What an integer index keeps: 1.0 is 1 there."""
    if isinstance(value, int) and not isinstance(value, bool) and _LEAST <= value <= _MOST:
        return value
    number = float_of(value)
    if number is None or not number.is_integer() or not _LEAST <= number <= 2.0**63:
        return None
    return min(int(number), _MOST)


def uuid_of(value: Any) -> int | None:
    """The number of a UUID, in whatever form; None for what is none."""
    if not isinstance(value, str):
        return None
    text = value.removeprefix("urn:uuid:").removeprefix("{").removesuffix("}")
    if len(text) not in (32, 36):
        return None
    try:
        return uuid.UUID(text).int
    except ValueError:
        return None


def place_of(value: Any) -> tuple[float, float] | None:
    """The latitude and longitude of an object that has both as numbers, wherever that is."""
    if not isinstance(value, Mapping):
        return None
    lat, lon = float_of(value.get("lat")), float_of(value.get("lon"))
    return None if lat is None or lon is None else (lat, lon)


def is_on_earth(place: tuple[float, float]) -> bool:
    """Whether there is such a place."""
    return -90 <= place[0] <= 90 and -180 <= place[1] <= 180
