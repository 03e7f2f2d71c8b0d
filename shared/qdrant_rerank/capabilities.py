"""What each version of Qdrant can do: the one table that plans and lowering look things up in.

Versions were read in the server's source and release notes; RRF's `k` is in 1.15.4 although the documentation
says 1.16. A server that is too old answers 400 over REST for most of these; the exceptions are marked `silent`. Over gRPC it
drops in silence what it doesn't know (a slice then lets all points through), so plans refuse all that isn't `silent`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias, assert_never, cast, get_args

from .errors import ClientError

Version: TypeAlias = tuple[int, int, int]
Engine: TypeAlias = Literal["server", "local", "edge"]
AbilityName: TypeAlias = Literal[
    "query",
    "dbsf",
    "groups",
    "document",
    "has_vector",
    "inference_object",
    "inference_options",
    "formula",
    "match_phrase",
    "mmr",
    "rrf_k",
    "acorn",
    "match_text_any",
    "rrf_weights",
    "formula_score_threshold",
    "relevance_feedback",
    "idf_scope",
    "match_prefix",
    "slice",
    "acosh",
    "match_substring",
    "max_min",
    "text_query",
]


@dataclass(frozen=True)
class Ability:
    """Something that a request may use: what it is, for messages, and the first server version that has it.

    `silent` says whether an older server ignores it instead of refusing the request.
    """

    says: str
    since: Version
    silent: bool = False


ABILITIES: Final[Mapping[AbilityName, Ability]] = {
    "query": Ability("queries over prefetched candidates", (1, 10, 0)),
    "dbsf": Ability("distribution-based score fusion", (1, 11, 0)),
    "groups": Ability("group queries", (1, 11, 0)),
    "document": Ability("texts that the server embeds (Document)", (1, 12, 0)),
    "has_vector": Ability("conditions on a point's vectors (HasVectorCondition)", (1, 13, 0)),
    "inference_object": Ability("images and objects that the server embeds", (1, 13, 0)),
    "inference_options": Ability("options of a text that the server embeds", (1, 13, 0)),
    "formula": Ability("formula queries", (1, 14, 0)),
    "match_phrase": Ability("phrase matches (MatchPhrase)", (1, 15, 0)),
    "mmr": Ability("maximal marginal relevance", (1, 15, 0)),
    "rrf_k": Ability("k in reciprocal rank fusion", (1, 15, 4)),
    "acorn": Ability("ACORN searches (SearchParams.acorn)", (1, 16, 0)),
    "match_text_any": Ability("matches of any word (MatchTextAny)", (1, 16, 0)),
    "rrf_weights": Ability("weights in reciprocal rank fusion", (1, 17, 0)),
    "relevance_feedback": Ability("relevance feedback queries (native=True)", (1, 17, 0)),
    "formula_score_threshold": Ability("score_threshold on a formula", (1, 17, 0), silent=True),
    "idf_scope": Ability("the scope of IDF (SearchParams.idf)", (1, 19, 0)),
    "match_prefix": Ability("prefix matches (MatchPrefix)", (1, 19, 0)),
    "slice": Ability("conditions on slices (SliceCondition)", (1, 19, 0)),
    "acosh": Ability("acosh in formulas", (1, 20, 0)),
    "match_substring": Ability("substring matches (MatchSubstring)", (1, 20, 0)),
    "max_min": Ability("max and min in formulas", (1, 20, 0)),
    "text_query": Ability("text queries (TextQuery)", (1, 20, 0)),
}


@dataclass(frozen=True)
class Capabilities:
    """What one Qdrant can do.

    Attributes:
        version: `(major, minor, patch)`.
        engine: "server" for a server, "local" for qdrant-client's local mode, "edge" for the Rust engine in process.
    """

    version: Version
    engine: Engine = "server"

    @classmethod
    def of(cls, version: str, engine: Engine = "server") -> Capabilities:
        """The capabilities of a version written as text, e.g. `"1.17.2"` or `"v1.20.0-dev"`."""
        numbers = re.match(r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", version)
        if numbers is None:
            raise ClientError(
                f"can't tell what Qdrant {version[:40]!r} can do: its version has no number; "
                "pass capabilities=Capabilities.of('1.20.0') with the version that it is"
            )
        major, minor, patch = (int(number or 0) for number in numbers.groups())
        return cls((major, minor, patch), engine)

    def supports(self, ability: AbilityName) -> bool:
        """Whether this Qdrant has `ability`."""
        return self.version >= ABILITIES[ability].since

    @property
    def f32_constants(self) -> bool:
        """Whether constants in formulas are rounded to 32-bit floats."""
        return self.engine != "local"

    @cached_property
    def pushes_filters(self) -> bool:
        """Whether the filter of a request reaches the searches below it; local mode ignores it there before 1.20."""
        return self.engine != "local" or self.version >= (1, 20, 0)

    @property
    def counts_members(self) -> bool:
        """Whether an object's values count is that of its members, as in local mode before 1.20: a place counts 2 there."""
        return self.engine == "local" and self.version < (1, 20, 0)

    @property
    def counts_absent(self) -> bool:
        """Whether a key that isn't there has 0 values for `values_count`."""
        return self.version >= (1, 19, 0)

    @property
    def looks_for_null_in_lists(self) -> bool:
        """Whether a list with a null is null without a payload index too."""
        return self.version >= (1, 20, 0)

    @property
    def matches_words(self) -> bool:
        """Whether text matches look for words in text without an index; they look for the text itself before."""
        return self.version >= (1, 20, 0)

    def __str__(self) -> str:
        number = ".".join(map(str, self.version))
        match self.engine:
            case "server":
                return f"Qdrant {number}"
            case "local":
                return f"qdrant-client {number} (local mode)"
            case "edge":
                return f"qdrant-edge (Qdrant {number} in process)"
        assert_never(self.engine)


def engine_of(client: object) -> Engine:
    """Whether a client speaks to a server, is qdrant-client's local mode, or an engine in process that says so itself."""
    engine = getattr(client, "engine", None)
    if engine in get_args(Engine):
        return cast(Engine, engine)
    options = getattr(client, "init_options", None)
    if not isinstance(options, dict):
        return "server"
    return "local" if is_in_process(options) else "server"


def is_in_process(options: Mapping[str, Any]) -> bool:
    """Whether a client made with these options runs an engine itself: qdrant-client's local mode."""
    return options.get("location") == ":memory:" or bool(options.get("path"))
