from __future__ import annotations

import asyncio
import copy
import pickle
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import AsyncReranker
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.models import FastembedCrossEncoder
from tests.models.tiny_cross_encoder import cross_encoder_folder, weight
from tests.waiting import PATIENCE, Gate, let_turn

TEXTS = ["boat ferry", "hut", "", "train train train boat"]
SCORES = [weight("boat", text) for text in TEXTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder_folder(tmp_path_factory.mktemp("own") / "model")


class Watched:
    """Which texts were scored, and how many scorings ran at once; `meanwhile` is what happens during each."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] = lambda: time.sleep(0.02)  # for others to come in, if they may
        self.texts: list[str] = []
        self.now = self.most = 0
        self.lock = threading.Lock()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    seen, rerank = Watched(), TextCrossEncoder.rerank

    def watching(self: TextCrossEncoder, query: str, documents: list[str], **options: Any) -> Iterator[float]:
        with seen.lock:
            seen.now += 1
            seen.most = max(seen.most, seen.now)
            seen.texts += documents
        seen.meanwhile()
        yield from rerank(self, query, documents, **options)
        with seen.lock:
            seen.now -= 1

    monkeypatch.setattr(TextCrossEncoder, "rerank", watching)
    return seen


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_scores_are_the_models_output_in_the_order_of_the_texts(folder: Path, batch_size: int) -> None:
    model = FastembedCrossEncoder("me/tiny", path=folder, batch_size=batch_size)

    assert model.score("boat", TEXTS) == pytest.approx(SCORES)
    assert {type(score) for score in model.score("boat", TEXTS)} == {float}
    assert model.score("boat", []) == []


async def test_it_scores_asynchronously_too(folder: Path) -> None:
    model = FastembedCrossEncoder("me/tiny", path=folder)

    assert isinstance(model, AsyncReranker)
    assert await model.ascore("boat", TEXTS) == pytest.approx(SCORES)


def test_texts_are_cut_after_max_length_tokens(folder: Path) -> None:
    model = FastembedCrossEncoder("me/tiny", path=folder, max_length=3)

    assert model.score("boat", ["hut ferry train"]) == pytest.approx([weight("boat hut ferry")])


def test_a_text_of_100_kb_is_cut_by_the_model(folder: Path) -> None:
    [score] = FastembedCrossEncoder("me/tiny", path=folder).score("boat", ["hut " * 25_000])

    assert score == pytest.approx(weight("boat") + 15 * weight("hut"))  # the tokenizer's limit is 16


def test_a_model_in_a_folder_under_a_name_that_fastembed_knows_needs_that_names_file(tmp_path: Path) -> None:
    (tmp_path / "named").mkdir()
    folder = cross_encoder_folder(tmp_path / "named" / "files")
    (folder / "onnx").mkdir()
    shutil.move(folder / "model.onnx", folder / "onnx" / "model.onnx")

    assert FastembedCrossEncoder(path=folder).score("boat", TEXTS) == pytest.approx(SCORES)


def test_however_many_threads_ask_there_is_one_model_and_one_scoring_at_a_time(folder: Path, watched: Watched) -> None:
    model = FastembedCrossEncoder("me/tiny", path=folder)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: model.score("boat", TEXTS[:2]), range(8)))

    assert watched.most == 1
    assert answers == [pytest.approx(SCORES[:2])] * 8


async def test_32_queries_at_once_wait_without_filling_the_thread_pool_or_stalling_the_loop(
    folder: Path, watched: Watched
) -> None:
    model, gate, loop = FastembedCrossEncoder("me/tiny", path=folder), Gate(), asyncio.get_running_loop()
    watched.meanwhile = gate.pass_through
    queries = [asyncio.create_task(model.ascore("boat", TEXTS[:2])) for _ in range(32)]
    await gate.reached()  # so that one is at work, and 31 wait
    await asyncio.wait_for(asyncio.to_thread(lambda: None), PATIENCE / 2)
    watched.meanwhile = lambda: let_turn(loop)
    gate.open()

    assert await asyncio.gather(*queries) == [pytest.approx(SCORES[:2])] * 32
    assert watched.most == 1


async def test_more_scorings_at_a_time_if_asked_for(folder: Path, watched: Watched) -> None:
    model, three = FastembedCrossEncoder("me/tiny", path=folder, parallel=3), threading.Barrier(3)
    watched.meanwhile = lambda: three.wait(PATIENCE)

    await asyncio.gather(*(model.ascore("boat", TEXTS[:2]) for _ in range(9)))
    assert watched.most == 3


async def test_a_cancelled_scoring_stops_after_the_text_that_it_is_at(folder: Path, watched: Watched) -> None:
    model, gate = FastembedCrossEncoder("me/tiny", path=folder), Gate()
    watched.meanwhile = gate.pass_through
    scoring, queued = (asyncio.create_task(model.ascore("boat", texts)) for texts in (["ferry"] * 200, ["train"]))
    await gate.reached()
    for task in (scoring, queued):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gate.open()

    assert await model.ascore("boat", ["boat"]) == [pytest.approx(weight("boat", "boat"))]
    assert watched.texts == ["ferry", "boat"]  # the queued one never ran


def test_scores_that_are_not_finite_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    monkeypatch.setattr(TextCrossEncoder, "rerank", lambda *_, **__: iter([float("nan")]))

    with pytest.raises(ScoringError, match=r"the model \(FastembedCrossEncoder\) returned .* nan for text 0"):
        FastembedCrossEncoder("me/tiny", path=folder).score("boat", ["hut"])


def test_the_fingerprint_is_of_the_folders_contents_wherever_it_is_and_of_max_length(folder: Path, tmp_path: Path) -> None:
    twin = shutil.copytree(folder, tmp_path / "twin")
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "tokenizer_config.json").write_text('{"model_max_length": 8, "pad_token": "[PAD]"}')
    (twin / "README.md").write_text("nothing that scores depend on")
    model = FastembedCrossEncoder("me/tiny", path=folder)

    assert FastembedCrossEncoder("me/tiny", path=twin, threads=1, batch_size=4).fingerprint == model.fingerprint
    assert FastembedCrossEncoder("me/tiny", path=other).fingerprint != model.fingerprint
    assert FastembedCrossEncoder("me/tiny", path=folder, max_length=8).fingerprint != model.fingerprint
    assert str(folder) not in model.fingerprint


def test_a_loaded_model_pickles_copies_and_shows_only_its_settings(folder: Path) -> None:
    model = FastembedCrossEncoder("me/tiny", path=str(folder), threads=1)
    scores = model.score("boat", TEXTS)

    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), eval(repr(model))):
        assert twin == model
        assert twin.score("boat", TEXTS) == scores
    assert "Gate" not in repr(model)


def test_an_unknown_model_or_folder_is_refused_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"no model 'Xenova/ms-marco-MiniLM-L-6'.*did you mean 'Xenova/ms-marco-MiniLM-L"):
        FastembedCrossEncoder("Xenova/ms-marco-MiniLM-L-6").score("boat", ["hut"])
    model = FastembedCrossEncoder("me/tiny", path=tmp_path / "gone")
    with pytest.raises(StrategyError, match=r"path='.*gone' is no folder"):
        model.score("boat", ["hut"])
    with pytest.raises(StrategyError, match=r"path='.*gone' is no folder"):
        _ = model.fingerprint


@pytest.mark.parametrize("name", ["batch_size", "threads", "max_length", "parallel"])
def test_arguments_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(StrategyError, match=f"the {name} of FastembedCrossEncoder must be a whole number of at least 1, got 0"):
        FastembedCrossEncoder(**{name: 0})  # type: ignore[arg-type]


def test_without_fastembed_the_extra_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)

    with pytest.raises(MissingExtra, match=r"FastembedCrossEncoder needs .* pip install 'qdrant-rerank\[fastembed\]'"):
        FastembedCrossEncoder()
