"""Rankers and logs as arguments: the value, or the path of its file."""

from __future__ import annotations

from os import PathLike

from .. import StrategyError
from .._internals import brief
from .feature_log import FeatureLog
from .log_files import read_log
from .ranker import LearnedRanker

__all__ = ["LogLike", "RankerLike", "log_of", "ranker_of"]

RankerLike = LearnedRanker | str | PathLike[str]
LogLike = FeatureLog | str | PathLike[str]


def ranker_of(value: RankerLike, who: str) -> LearnedRanker:
    """The ranker, loaded where its file is named.

    Raises:
        StrategyError: it is something else.
        FormatError: the file holds no ranker.
        OSError: there is no such file.
    """
    if isinstance(value, str | PathLike):
        return LearnedRanker.load(value)
    if not isinstance(value, LearnedRanker):
        raise StrategyError(
            f"{who} takes a LearnedRanker or the path of its file, got a {type(value).__name__}, {brief(value)}: "
            "LearnedRanker.load(path) reads the whole file, with what the formula was trained on"
        )
    return value


def log_of(value: LogLike, who: str) -> FeatureLog:
    """The log, read where its file is named.

    Raises:
        StrategyError: it is something else.
        FormatError: the file holds no log.
        OSError: there is no such file.
    """
    if isinstance(value, str | PathLike):
        return read_log(value)
    if not isinstance(value, FeatureLog):
        raise StrategyError(
            f"{who} takes a FeatureLog, which log_features and read_log give, or the path of its file; "
            f"got a {type(value).__name__}, {brief(value)}"
        )
    return value
