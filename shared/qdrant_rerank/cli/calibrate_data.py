"""The queries and judgments that `calibrate` learns from, as its options name them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qdrant_client import models

from .. import Executor
from ..evaluate import Topic, Topics, read_beir, read_qrels, read_topics
from ..learn._internals import SYNTHETIC_WARNING, is_sampled, sampled_queries
from .failures import CommandError, warn

__all__ = ["Queries", "Source"]


@dataclass(frozen=True)
class Queries:
    """What is learned from.

    Attributes:
        texts: query id → text.
        judged: query id → document id → grade, of those that have judgments.
    """

    texts: Mapping[str, str]
    judged: Mapping[str, Mapping[str, int]]

    @property
    def distinct(self) -> int:
        """How many texts there are; the same one asked twice counts once."""
        return len(set(self.texts.values()))

    @property
    def distinct_judged(self) -> int:
        """How many of them have judgments."""
        return len({self.texts[id] for id in self.judged})


@dataclass(frozen=True)
class Source:
    """Where the queries come from, as the options say; see their help.

    Raises:
        CommandError: options exclude each other, or a number can't be.
    """

    queries: Path | None
    sample: int | None
    qrels: Path | None
    split: str
    most: int
    seed: int

    def __post_init__(self) -> None:
        for option, value in (("--most", self.most), ("--sample", self.sample)):
            if value is not None and value < 1:
                raise CommandError(f"{option} must be at least 1, got {value}")
        if self.sample is None and self.queries is None:
            raise CommandError(
                "which queries? give a file of real ones (id, tab, text), or --sample N to make some for a trial"
            )
        if self.sample is None:
            return
        if self.qrels is not None:
            raise CommandError("--sample and --qrels exclude each other: nobody has judged documents for queries made here")
        if self.queries is not None and self.queries.exists():
            raise CommandError(
                f"--sample would write its queries over {self.queries}: leave it out to use those that are there"
            )

    def read(self) -> Queries | None:
        """What the files hold; None with `--sample`, for which a collection is needed.

        Raises:
            CommandError: there is no such file, or the judgments are those of other queries.
            FormatError: a file is malformed.
        """
        if self.sample is not None or self.queries is None:
            return None
        if not self.queries.exists():
            raise CommandError(
                f"{self.queries} doesn't exist: give a file with id, tab and text on each line, or a BEIR folder"
            )
        topics, qrels = self._files(self.queries)
        taken = self._taken(topics)
        judged = {topic.id: qrels[topic.id] for topic in taken if topic.id in qrels}
        if qrels and not judged:
            raise CommandError(f"{self.qrels} has no judgments for the queries of {self.queries}: their ids differ")
        if is_sampled(found := {topic.id: topic.text for topic in taken}):
            warn(SYNTHETIC_WARNING)
        return Queries(found, judged)

    def _files(self, queries: Path) -> tuple[Topics, Mapping[str, Mapping[str, int]]]:
        if not queries.is_dir():
            return read_topics(queries), {} if self.qrels is None else read_qrels(self.qrels)
        if self.qrels is not None:
            raise CommandError("--qrels goes with a file of queries; a BEIR folder has its own judgments, see --split")
        return read_beir(queries, self.split)

    def _taken(self, topics: Topics) -> Sequence[Topic]:
        if others := sum(not topic.is_plain for topic in topics):
            warn(f"{others} of the queries come with filters, params or vectors; the fit uses nothing but their text")
        if len(topics) <= self.most:
            return topics.items
        warn(f"{self.most} of the {len(topics)} queries are taken, at random; --most N takes more")
        return random.Random(self.seed).sample(topics.items, self.most)

    def made(self, executor: Executor, filter: models.Filter | None, *, keep: bool) -> Queries:
        """Queries made of the collection; `keep` writes them to the file that is named.

        Raises:
            FitError: nothing can be made of the collection.
        """
        assert self.sample is not None
        texts = sampled_queries(executor, self.sample, filter=filter)
        if len(texts) < self.sample:
            warn(f"--sample {self.sample}: only {len(texts)} different queries could be made of the points drawn")
        if self.queries is not None and keep:
            self.queries.write_text("".join(f"{id}\t{text}\n" for id, text in texts.items()), "utf-8")
        return Queries(texts, {})
