"""A real rate limit: measurements wait as they are told, or stop and go on later; the figures are those of no limit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Nearest
from qdrant_rerank.errors import MeasurementError
from qdrant_rerank.evaluate import Evaluation, Qrels, Topic, Topics, evaluate
from qdrant_rerank.ingest import Document, ensure_collection, ingest
from qdrant_rerank.models import Bm25
from tests.cli.support import run
from tests.engines import Engine, on_server, open_client
from tests.support import refused

LIMIT = 60  # reads a minute; the server grants them one after another, one a second, once so many are used up
COUNT = LIMIT + 4
WORDS = {"bm25": Bm25()}
TOPICS = Topics(tuple(Topic(f"q{number}", f"word{number % 40} kind{number % 7}") for number in range(COUNT)))
QRELS = Qrels({f"q{number}": {f"d{number % 40}": 1, f"d{(number + 5) % 40}": 1} for number in range(COUNT)})


@pytest.fixture
def client(engine: Engine) -> Iterator[QdrantClient]:
    """Forty documents of words, with no limit yet."""
    made = open_client()
    ensure_collection(made, "c", WORDS)
    ingest(made, "c", [Document(f"d{number}", f"word{number} common kind{number % 7}") for number in range(40)], WORDS)
    yield made
    made.close()


def limit(client: QdrantClient, reads: int | None) -> None:
    client.update_collection("c", strict_mode_config=models.StrictModeConfig(enabled=reads is not None, read_rate_limit=reads))


def measured(client: QdrantClient, **options: object) -> Evaluation:
    return evaluate(Nearest("bm25"), TOPICS, QRELS, executor=Executor(client, "c", encoders=WORDS), **options)  # type: ignore[arg-type]


def test_a_measurement_that_a_limit_stops_goes_on_to_the_same_figures(client: QdrantClient, tmp_path: Path) -> None:
    unlimited = measured(client)
    assert 0.5 < unlimited.means["nDCG@10"].estimate < 1.0
    limit(client, LIMIT // 2)
    with refused(
        MeasurementError, "a failure is no result", "of 64 topics have their answers", "the same call goes on"
    ) as caught:
        measured(client, run_file=tmp_path / "run.jsonl", retries=0)
    assert 0 < len(caught.value.run) < COUNT  # type: ignore[attr-defined]
    limit(client, None)
    assert measured(client, run_file=tmp_path / "run.jsonl").values == unlimited.values


def test_the_command_waits_as_long_as_it_is_told(client: QdrantClient, tmp_path: Path) -> None:
    unlimited = measured(client)
    limit(client, LIMIT)
    (tmp_path / "topics.tsv").write_text("".join(f"{topic.id}\t{topic.text}\n" for topic in TOPICS))
    lines = (f"{topic} 0 {document} {grade}\n" for topic, grades in QRELS.items() for document, grade in grades.items())
    (tmp_path / "qrels.txt").write_text("".join(lines))
    where = ("--url", os.environ["QDRANT_URL"], "--collection", on_server(client, "c"), "--sparse", "bm25", "--json")
    given = ("--qrels", tmp_path / "qrels.txt", "--resume", tmp_path / "run.jsonl")
    ran = run("evaluate", tmp_path / "topics.tsv", *given, *where, env={"QDRANT_API_KEY": os.environ.get("QDRANT_API_KEY")})
    assert ran.code == 0, ran.all
    found = json.loads(ran.out)
    assert found["means"]["nDCG@10"]["estimate"] == pytest.approx(unlimited.means["nDCG@10"].estimate)
    assert not found["coverage"]["failed"]
