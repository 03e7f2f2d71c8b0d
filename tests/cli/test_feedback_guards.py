"""What a file of relevance feedback is checked for on the command line, what is told aloud, and how to run it all the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from qdrant_rerank import Coefficients, Nearest, RelevanceFeedback, Rerank, save
from qdrant_rerank._internals import TextSource
from qdrant_rerank.feedback import Provenance
from qdrant_rerank.models import FastembedCrossEncoder
from tests.cli.support import DOCUMENTS, fails, run
from tests.models.tiny_cross_encoder import cross_encoder_folder

KEYS = TextSource(keys=("title", "text", "page_content"), joiner="\n\n", nodes=True)


class Place(NamedTuple):
    folder: Path
    model: str

    def strategy(self, name: str = "feedback.json", reranked: bool = False, **changes: object) -> Path:
        known = FastembedCrossEncoder("any", path=self.folder / "reranker").fingerprint
        provenance = replace(Provenance(mode="precision", seeds=3, reranker=known, vector="dense", text=KEYS), **changes)  # type: ignore[arg-type]
        made = RelevanceFeedback(seeds=Nearest("dense", limit=3), coefficients=Coefficients(1.0, 0.5, 0.2, provenance))
        save(Rerank(reads=5).over(made) if reranked else made, self.folder / name)
        return self.folder / name

    def search(self, file: Path, *more: object) -> tuple[object, ...]:
        return ("search", "night train", "--path", self.folder / "db", "-s", file, "--rerank", self.model, *more)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("guards")
    (folder / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in DOCUMENTS), "utf-8")
    assert run("index", folder / "corpus.jsonl", "--path", folder / "db", "--dense", "hash").code == 0
    cross_encoder_folder(folder / "reranker")
    words, best = ("night train", "last ferry", "market day"), ("train", "ferry", "market")
    (folder / "topics.tsv").write_text("".join(f"q{each}\t{words[each % 3]} {each}\n" for each in range(30)), "utf-8")
    (folder / "qrels.txt").write_text("".join(f"q{each} 0 {best[each % 3]} 1\n" for each in range(30)), "utf-8")
    return Place(folder, f"cross-encoder:{folder / 'reranker'}")


def test_other_texts_than_the_fit_s_are_refused_and_run_unchecked(place: Place) -> None:
    file = place.strategy()
    assert run(*place.search(file)).err == ""
    said = " ".join(fails(*place.search(file, "--text-key", "text")).split())
    assert "'text' or the node that LlamaIndex wrote, was 'title' + 'text' + 'page_content'" in said
    assert "5 of 5 random points differ" in said
    assert "on the command line: --text-key KEYS, --unchecked" in said
    assert run(*place.search(file, "--text-key", "text", "--unchecked")).code == 0


def test_a_model_is_the_same_in_a_folder_of_another_name(place: Place) -> None:
    twin = cross_encoder_folder(place.folder / "renamed")
    ran = run("search", "night", "--path", place.folder / "db", "-s", place.strategy(), "--rerank", f"cross-encoder:{twin}")
    assert (ran.code, ran.err) == (0, "")


def test_explain_needs_no_model_and_no_text_keys(place: Place) -> None:
    assert run("plan", "--path", place.folder / "db", "-s", place.strategy()).code == 0


@pytest.mark.parametrize("reranked", [False, True])
def test_coefficients_of_another_model_run_unchecked_below_a_reranking_too(place: Place, reranked: bool) -> None:
    file = place.strategy("other.json", reranked, reranker="another")
    said = " ".join(fails(*place.search(file)).split())
    assert "was 'another'" in said
    assert "on the command line: --unchecked" in said
    assert run(*place.search(file, "--unchecked")).code == 0


def test_compare_runs_all_files_unchecked_if_one_says_so(place: Place) -> None:
    save(Nearest("dense"), place.folder / "plain.json")
    file = place.strategy("other.json", reranker="another")
    given: list[object] = ["compare", place.folder / "topics.tsv", "--qrels", place.folder / "qrels.txt"]
    given += ["--path", place.folder / "db", "-s", place.folder / "plain.json", "-s", file, "--rerank", place.model]
    assert "was 'another'" in " ".join(fails(*given).split())
    ran = run(*given, "--unchecked")
    assert ran.code == 0, ran
    (place.folder / "a.run").write_text("q1 Q0 train 1 1.0 a\n")
    (place.folder / "b.run").write_text("q1 Q0 train 1 1.0 b\n")
    runs: list[object] = [*given[:4], "--run", place.folder / "a.run", "--run", place.folder / "b.run", "--unchecked"]
    assert "--unchecked has no effect here: runs are compared as they are" in fails(*runs)


def test_search_explain_compare_and_tune_tell_what_was_not_recommended(place: Place) -> None:
    said = "plain search did as well or better"
    file = place.strategy("bad.json", recommends="plain")
    save(Nearest("dense"), place.folder / "plain.json")
    judged: list[object] = [place.folder / "topics.tsv", "--qrels", place.folder / "qrels.txt", "--path", place.folder / "db"]
    for arguments in (
        place.search(file),
        place.search(file, "--explain"),
        ("compare", *judged, "-s", place.folder / "plain.json", "-s", file, "--rerank", place.model),
        ("tune", *judged, "--feedback", file, "--rerank", place.model),
    ):
        ran = run(*arguments)
        assert ran.code == 0, ran
        assert " ".join(ran.err.split()).count(said) == 1, (arguments, ran)
    explained = run("plan", "--path", place.folder / "db", "-s", file)
    assert said in " ".join((explained.out + explained.err).split())


def test_unchecked_needs_something_that_was_learned(place: Place) -> None:
    save(Nearest("dense"), place.folder / "plain.json")
    assert "plain.json holds none" in " ".join(fails(*place.search(place.folder / "plain.json", "--unchecked")).split())
    assert "add --strategy FILE" in fails("search", "x", "--path", place.folder / "db", "--unchecked")


def test_a_folder_without_a_model_and_an_embedding_model_are_told_apart_from_cross_encoders(place: Place) -> None:
    from tests.models.tiny_models import onnx_folder

    (place.folder / "empty").mkdir()
    search = ("search", "x", "--path", place.folder / "db", "--rerank")
    assert "has no model.onnx" in " ".join(fails(*search, f"cross-encoder:{place.folder / 'empty'}").split())
    dense = onnx_folder(place.folder / "dense")
    assert "is no cross-encoder" in " ".join(fails(*search, f"cross-encoder:{dense}").split())


def test_coefficients_alone_are_no_strategy_and_what_reads_them_is_said(place: Place) -> None:
    Coefficients(1.0, 0.0, 0.0).save(place.folder / "c.json")
    said = " ".join(fails(*place.search(place.folder / "c.json")).split())
    assert 'it has no "kind"' in said
    assert "RelevanceFeedback.load" in said
