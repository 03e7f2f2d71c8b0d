"""An evaluation that was interrupted goes on where it stopped, and only with what it was about."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, PayloadMapping, Rerank, SearchOptions, StrategyError
from qdrant_rerank._internals import EncoderLike, RerankerLike
from qdrant_rerank.errors import FormatError
from qdrant_rerank.evaluate import DocId, TopicFunction, Topics, evaluate, read_run_file
from qdrant_rerank.models import HashedNgrams
from tests.evaluate.worlds import DENSE, FUSED, GRADES, QUESTIONS, client, executor, qrels, topics
from tests.support import refused

ENCODER = HashedNgrams(size=64)


def _lengths(query: str, texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


def _search(asked: list[str], fails: str = "") -> Callable[[str], list[str]]:
    def search(text: str) -> list[str]:
        asked.append(text)
        if fails and fails in text:
            raise KeyboardInterrupt if fails == "ferry" else LookupError("no route")
        return ["train", "hut"]

    return search


def test_topics_that_are_done_are_not_asked_again_after_an_interruption(tmp_path: Path) -> None:
    asked: list[str] = []
    file = tmp_path / "run.jsonl"
    with pytest.raises(KeyboardInterrupt):
        evaluate(_search(asked, fails="ferry"), topics(), qrels(), run_file=file, name="by hand")
    assert len(asked) == 3
    asked.clear()
    told: list[tuple[int, int]] = []
    resumed = evaluate(
        _search(asked), topics(), qrels(), run_file=file, name="by hand", progress=lambda *args: told.append(args)
    )
    assert asked == [QUESTIONS["q3"], QUESTIONS["q4"]]
    assert told == [(3, 4), (4, 4)]
    assert resumed.values == evaluate(_search([]), topics(), qrels()).values
    assert list(resumed.run) == list(QUESTIONS)


def test_topics_that_failed_are_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    first = evaluate(_search([], fails="hut"), topics(), qrels(), run_file=file, name="by hand", on_error="count")
    assert list(first.coverage.failed) == ["q2"]
    assert read_run_file(file).errors == {"q2": "LookupError: no route"}
    asked: list[str] = []
    assert not evaluate(_search(asked), topics(), qrels(), run_file=file, name="by hand").coverage.failed
    assert asked == [QUESTIONS["q2"]]
    assert read_run_file(file).errors == {}


def test_a_strategy_resumes_with_its_costs(tmp_path: Path) -> None:
    bound, file = executor(), tmp_path / "run.jsonl"
    first = evaluate(FUSED, topics(), qrels(), executor=bound, run_file=file, name="fused")
    again = evaluate(FUSED, topics(), qrels(), executor=bound, run_file=file, name="fused")
    assert again.run == first.run
    assert again.costs == first.costs
    assert evaluate(read_run_file(file), topics(), qrels()).values == first.values


def test_a_line_that_was_being_written_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    evaluate(_search([]), topics(), qrels(), run_file=file, name="by hand")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    asked: list[str] = []
    evaluate(_search(asked), topics(), qrels(), run_file=file, name="by hand")
    assert asked == [QUESTIONS["q4"]]
    assert len(file.read_text().splitlines()) == 5


def test_another_system_options_or_topics_are_refused(tmp_path: Path) -> None:
    bound, file = executor(), tmp_path / "run.jsonl"
    evaluate(DENSE, topics(), qrels(), executor=bound, run_file=file, name="x")
    with refused(StrategyError, "another evaluation", "its system is \"Nearest('dense') on 'notes'\"", "Fusion"):
        evaluate(FUSED, topics(), qrels(), executor=bound, run_file=file, name="x")
    with refused(StrategyError, "its name is 'x', this one's is 'y'"):
        evaluate(DENSE, topics(), qrels(), executor=bound, run_file=file, name="y")
    with refused(StrategyError, "its options is", "limit=3"):
        evaluate(DENSE, topics(), qrels(), executor=bound, run_file=file, name="x", options=SearchOptions(limit=3))
    with refused(StrategyError, "its options is", "doc_id='place'"):
        evaluate(DENSE, topics(), qrels(), executor=bound, run_file=file, name="x", doc_id="place")
    with refused(StrategyError, "its topics (fingerprint) is"):
        evaluate(DENSE, Topics({**QUESTIONS, "q1": "another text"}), qrels(), executor=bound, run_file=file, name="x")
    assert set(GRADES) == set(read_run_file(file))  # and the file is as it was


def _same(text: str) -> list[str]:
    return ["train", "hut"]


def _first(result: object) -> object:
    return result


def _other(result: object) -> object:
    return result


def test_another_setup_is_refused(tmp_path: Path) -> None:
    file, there = tmp_path / "run.jsonl", client()
    strategy = Rerank(reads=3).over(DENSE)

    def run(encoder: EncoderLike = ENCODER, model: RerankerLike = _lengths, **settings: Any) -> object:
        bound = Executor(there, "notes", encoders={"dense": encoder}, reranker=model, **settings)
        return evaluate(strategy, topics(), qrels(), executor=bound, run_file=file, name="x")

    run()
    run(HashedNgrams(size=64))  # the same in a second object
    with refused(StrategyError, "another evaluation", "its setup (models, payload mapping, fixed filter) is", "skip_stop"):
        run(HashedNgrams(size=64, skip_stop_words=False))
    with refused(StrategyError, "PayloadMapping(text='_id'"):
        run(payload=PayloadMapping(text="_id"))
    water = models.Filter(must=[models.FieldCondition(key="place", match=models.MatchValue(value="water"))])
    with refused(StrategyError, "the fixed filter", "water"):
        run(fixed_filter=water)
    with refused(StrategyError, "nothing tells the encoder of 'dense' and the reranker from others"):
        run(lambda text: ENCODER.encode_query(text), lambda query, texts: [1.0 for _ in texts])


def test_a_function_that_reads_ids_is_told_from_others(tmp_path: Path) -> None:
    def run(doc_id: DocId) -> object:
        return evaluate(_same, topics(), qrels(), run_file=tmp_path / "run.jsonl", doc_id=doc_id)

    run(_first)
    run(_first)
    with refused(StrategyError, "the function doc_id", "test_resuming._other"):
        run(_other)
    with refused(StrategyError, "nothing tells the function doc_id from others"):
        run(lambda result: result)


def test_functions_and_retrievers_that_nothing_tells_from_others_need_a_name(tmp_path: Path) -> None:
    class Finds:
        def __init__(self) -> None:
            self.index = object()

        def invoke(self, text: str) -> list[str]:
            return _same(text)

    systems: list[Any] = [Finds(), _search([]), TopicFunction(lambda topic: _same(topic.text))]
    for number, system in enumerate(systems):
        file = tmp_path / f"{number}.jsonl"
        with refused(StrategyError, f"{file} can't keep results: nothing tells the system from others", "name=…"):
            evaluate(system, topics(), qrels(), run_file=file)
        assert not file.exists()
        evaluate(system, topics(), qrels(), run_file=file, name="mine")
    evaluate(_same, topics(), qrels(), run_file=tmp_path / "known.jsonl")


def test_a_file_of_an_older_version_can_be_read_and_is_not_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    evaluate(_same, topics(), qrels(), run_file=file)
    first, *rest = file.read_text().splitlines(keepends=True)
    header = json.loads(first)
    del header["depends_on"]
    file.write_text(json.dumps(header) + "\n" + "".join(rest))
    assert set(read_run_file(file)) == set(QUESTIONS)
    with refused(StrategyError, "not said, as an older version wrote the file"):
        evaluate(_same, topics(), qrels(), run_file=file)


def test_a_run_file_with_a_bad_line_is_not_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    evaluate(_search([]), topics(), qrels(), run_file=file, name="by hand")
    whole = file.read_text()
    file.write_text(whole + '{"topic": "q9"}\n')
    with refused(FormatError, "run.jsonl:6: not a line of a run file"):
        evaluate(_search([]), topics(), qrels(), run_file=file, name="by hand")
    file.write_text(whole)  # mended, it is gone on with: nothing holds it
    asked: list[str] = []
    evaluate(_search(asked), topics(), qrels(), run_file=file, name="by hand")
    assert asked == []


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (["{}"], (":1: ", "not a run file")),
        (['{"kind": "shopping list"}'], (":1: ", "not a run file")),
        (["HEADER", '{"topic": "q1"}'], (":2: ", "not a line of a run file")),
        (["HEADER", "night train"], (":2: ", "not a line of a run file")),
        ([], ("empty",)),
    ],
)
def test_a_file_that_is_no_run_file_is_told(tmp_path: Path, lines: list[str], parts: tuple[str, ...]) -> None:
    good = {"kind": "qdrant-rerank run", "system": "s", "name": "n", "asked": "a", "topics": "t"}
    file = tmp_path / "run.jsonl"
    file.write_text("".join(line.replace("HEADER", json.dumps(good)) + "\n" for line in lines))
    with refused(FormatError, *parts):
        read_run_file(file)
