"""Runs in TREC's format: `topic Q0 document rank score name`, the format of trec_eval, Anserini, PyTerrier and others."""

from __future__ import annotations

import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np

from .._internals import brief, lines_of
from ..errors import FormatError
from .runs import Answer, Ranked, Run

__all__ = ["read_run", "write_run"]


def read_run(path: str | os.PathLike[str], name: str | None = None) -> Run:
    """A run of a TREC file, ordered as trec_eval orders it: by score, ties by document id, both descending.

    The file's ranks are not looked at, nor are they by trec_eval.

    Args:
        path: the file; gzip is unpacked if the name ends in `.gz`.
        name: what tables call the run; the file's last column if None.

    Raises:
        FormatError: a line is malformed, a document is there twice for a topic, or the file is empty; carries path and line.
        OSError: there is no such file.
    """
    found: dict[str, dict[str, float]] = {}
    tag = ""
    for number, line in lines_of(path):
        parts = line.split()
        if len(parts) != 6:
            raise FormatError(
                f"a line of a run has 6 columns (topic, Q0, document, rank, score, name), this one has {len(parts)}",
                path,
                number,
            )
        topic, _, document, _, text, tag = parts
        scores = found.setdefault(topic, {})
        if document in scores:
            raise FormatError(f"document {document!r} is there twice for topic {topic!r}", path, number)
        scores[document] = _score(text, path, number)
    if not found:
        raise FormatError("the run is empty", path)
    answers = {topic: Answer(_ordered(scores)) for topic, scores in found.items()}
    return Run(name or tag, answers, f"the run {tag!r} of {os.fspath(path)}")


def write_run(run: Run, path: str | os.PathLike[str]) -> None:
    """Write a run as a TREC file that trec_eval orders as the run does.

    Where a topic's scores don't fall strictly (ties, MMR), they are replaced by the number of results from the rank on:
    trec_eval goes by score alone. Topics without results have no lines; the format can't hold them.

    Raises:
        FormatError: an id has a space in it, or the name has none of its own, which the format can't hold.
    """
    tag = "_".join(run.name.split()) or "run"
    lines: list[str] = []
    for topic, answer in run.items():
        scores = _falling(answer.ranking)
        for rank, (result, score) in enumerate(zip(answer.ranking, scores, strict=True), 1):
            for id in (topic, result.doc_id):
                if len(id.split()) != 1:
                    raise FormatError(f"a TREC file can't hold the id {id!r}: its columns are separated by spaces", path)
            lines.append(f"{topic} Q0 {result.doc_id} {rank} {score} {tag}\n")
    Path(path).write_text("".join(lines), "utf-8")


def _falling(ranking: tuple[Ranked, ...]) -> list[float | int]:
    """The scores if they fall strictly as trec_eval reads them (32 bit), else numbers that do."""
    if all(np.float32(above.score) > np.float32(below.score) for above, below in pairwise(ranking)):
        return [result.score for result in ranking]
    return list(range(len(ranking), 0, -1))


def _ordered(scores: dict[str, float]) -> tuple[Ranked, ...]:
    return tuple(Ranked(*item) for item in sorted(scores.items(), key=lambda item: (item[1], item[0]), reverse=True))


def _score(text: str, path: str | os.PathLike[str], number: int) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise FormatError(f"a score must be a finite number, got {brief(text)}", path, number)
    return score
