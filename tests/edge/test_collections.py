"""Collections are made as asked, and described as they were made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank.edge import VERSION, EdgeClient
from qdrant_rerank.errors import ClientError, FormatError
from qdrant_rerank.planning import Schema
from tests.edge.support import NAME, SIZE, awkward_points, config, filled, query_vectors
from tests.support import refused

FLAT = models.VectorParams(size=2, distance=models.Distance.DOT)
HNSW = models.HnswConfigDiff


@pytest.fixture
def client(tmp_path: Path) -> Any:
    with EdgeClient(tmp_path) as made:
        yield made


def test_a_collection_is_described_as_in_local_mode(edge: EdgeClient, local: QdrantClient) -> None:
    found, expected = (Schema.of(NAME, one.get_collection(NAME)) for one in (edge, local))
    assert dict(found.vectors) == dict(expected.vectors)
    assert (found.points, found.shards) == (expected.points, expected.shards) == (SIZE, 1)


def test_the_engine_counts_as_a_version_of_qdrant(edge: EdgeClient) -> None:
    assert (edge.info().title, edge.info().version) == ("qdrant-edge", VERSION)
    assert edge.engine == "edge"
    assert edge.get_aliases().aliases == []


@pytest.mark.parametrize(
    "params",
    [
        FLAT,
        models.VectorParams(size=3, distance=models.Distance.MANHATTAN, on_disk=True, datatype=models.Datatype.FLOAT16),
        models.VectorParams(
            size=3, distance=models.Distance.COSINE, hnsw_config=HNSW(m=0, ef_construct=50, full_scan_threshold=9)
        ),
        models.VectorParams(
            size=4,
            distance=models.Distance.DOT,
            multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
        ),
    ],
)
def test_vectors_are_described_as_they_were_made(client: EdgeClient, params: models.VectorParams) -> None:
    client.create_collection("unnamed", params)
    client.create_collection("named", {"v": params, "w": FLAT})
    expected = json.loads(params.model_dump_json(exclude_none=True))
    unnamed, named = (client.get_collection(name).config.params.vectors for name in ("unnamed", "named"))
    assert isinstance(unnamed, models.VectorParams)
    assert isinstance(named, dict)
    assert list(named) == ["v", "w"]
    for found in (unnamed, named["v"]):
        described = json.loads(found.model_dump_json(exclude_none=True))
        described.get("hnsw_config", {}).pop("max_indexing_threads", None)  # the engine notes its default
        assert described == expected


def test_sparse_vectors_are_described_as_they_were_made(client: EdgeClient) -> None:
    made = {
        "plain": models.SparseVectorParams(),
        "idf": models.SparseVectorParams(modifier=models.Modifier.IDF),
        "disk": models.SparseVectorParams(
            index=models.SparseIndexParams(on_disk=True, full_scan_threshold=7, datatype=models.Datatype.FLOAT16)
        ),
    }
    client.create_collection("sparse", sparse_vectors_config=made)
    params = client.get_collection("sparse").config.params
    assert params.sparse_vectors == made
    assert params.vectors == {}


def test_the_collection_s_own_options_are_described(client: EdgeClient) -> None:
    client.create_collection("a", FLAT, hnsw_config=HNSW(m=8), on_disk_payload=False, shard_number=1, metadata={"k": [1]})
    found = client.get_collection("a").config
    assert (found.hnsw_config.m, found.hnsw_config.ef_construct) == (8, 100)
    assert found.params.on_disk_payload is False
    assert found.metadata == {"k": [1]}
    client.update_collection("a", metadata={"l": 2})
    assert client.get_collection("a").config.metadata == {"k": [1], "l": 2}
    client.create_collection("b", FLAT)
    assert client.get_collection("b").config.metadata is None


INDEXES: list[Any] = [
    *models.PayloadSchemaType,
    "keyword",
    models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True, prefix=True),
    models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=False, range=True),
    models.FloatIndexParams(type=models.FloatIndexType.FLOAT, is_principal=True, on_disk=True),
    models.GeoIndexParams(type=models.GeoIndexType.GEO),
    models.BoolIndexParams(type=models.BoolIndexType.BOOL),
    models.DatetimeIndexParams(type=models.DatetimeIndexType.DATETIME),
    models.UuidIndexParams(type=models.UuidIndexType.UUID, memory=models.Memory.COLD),
    models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType.WORD,
        lowercase=True,
        phrase_matching=True,
        stopwords=models.StopwordsSet(languages=[models.Language.ENGLISH], custom=["foo"]),
        stemmer=models.SnowballParams(type=models.Snowball.SNOWBALL, language=models.SnowballLanguage.ENGLISH),
    ),
    models.TextIndexParams(type=models.TextIndexType.TEXT, stopwords=models.Language.GERMAN, min_token_len=2),
]


@pytest.mark.parametrize("kind", INDEXES, ids=lambda kind: str(kind)[:60])
def test_a_payload_index_is_made_and_described(client: EdgeClient, kind: Any) -> None:
    client.create_collection("a", FLAT)
    client.create_payload_index("a", "k", kind)
    expected = getattr(kind, "type", kind)
    assert client.get_collection("a").payload_schema["k"].data_type.value == getattr(expected, "value", expected)
    client.delete_payload_index("a", "k")
    assert client.get_collection("a").payload_schema == {}


def test_the_parameters_of_an_index_reach_the_engine(client: EdgeClient) -> None:
    filled(client)
    phrase = models.Filter(must=[models.FieldCondition(key="text", match=models.MatchPhrase(phrase="brown fox"))])
    expected = client.count(NAME, phrase).count
    assert expected > 0
    for phrases, found in ((True, expected), (False, 0)):
        params = models.TextIndexParams(
            type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.WORD, phrase_matching=phrases
        )
        client.create_payload_index(NAME, "text", params)
        assert client.count(NAME, phrase).count == found


def test_optimizing_builds_a_graph_and_changes_no_exact_result(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection(NAME, **config())
        many = [
            point.model_copy(update={"id": SIZE * copy + place})
            for copy in range(20)
            for place, point in enumerate(awkward_points())
        ]
        client.upsert(NAME, many)
        before = client.query_points(NAME, query=query_vectors()["dense"], using="dense").points[0].score
        assert client.optimize(NAME) in (True, False)
        assert client.count(NAME).count == SIZE * 20
        assert client.query_points(NAME, query=query_vectors()["dense"], using="dense").points[0].score == pytest.approx(before)


Call = Callable[[Any], object]
QUERY: dict[str, Any] = {"query": [1.0, 2.0]}
REFUSED: dict[str, tuple[Call, str]] = {
    "shards": (lambda c: c.create_collection("b", FLAT, shard_number=2), r"can't honour shard_number"),
    "several": (
        lambda c: c.create_collection("b", FLAT, replication_factor=2, timeout=5),
        r"replication_factor \(not known here\); timeout \(a call that runs can't be stopped\)",
    ),
    "strict mode": (
        lambda c: c.create_collection("b", FLAT, strict_mode_config=models.StrictModeConfig()),
        "strict_mode_config",
    ),
    "optimizers": (
        lambda c: c.create_collection("b", FLAT, optimizers_config=models.OptimizersConfigDiff()),
        "optimizers_config",
    ),
    "quantization of all": (lambda c: c.create_collection("b", FLAT, quantization_config={}), "quantization_config"),
    "quantization of one": (
        lambda c: c.create_collection(
            "b",
            models.VectorParams(
                size=2,
                distance=models.Distance.DOT,
                quantization_config=models.BinaryQuantization(binary=models.BinaryQuantizationConfig()),
            ),
        ),
        "quantization_config isn't passed on",
    ),
    "datatype": (
        lambda c: c.create_collection("b", FLAT.model_copy(update={"datatype": "float7"})),
        "no VectorStorageDatatype Float7",
    ),
    "unknown option": (lambda c: c.create_collection("b", FLAT, colour="red"), "create_collection takes no 'colour'"),
    "other changes": (
        lambda c: c.update_collection("a", optimizers_config=models.OptimizersConfigDiff()),
        "only the metadata of a collection can be changed in qdrant-edge, not optimizers_config",
    ),
    "changes by position": (lambda c: c.update_collection("a", None), "not positional arguments"),
    "index": (lambda c: c.create_payload_index("a", "k", "number"), "takes one of 'keyword', 'integer'.*got 'number'"),
    "no index": (lambda c: c.create_payload_index("a", "k"), "got None"),
    "other model": (lambda c: c.create_payload_index("a", "k", FLAT), "index's type or parameters, got VectorParams"),
    "index option": (
        lambda c: c.create_payload_index(
            "a",
            "k",
            models.TextIndexParams(
                type=models.TextIndexType.TEXT, scoring=models.TextScoringParams(type=models.TextScoringType.BM25)
            ),
        ),
        "scoring=.* of a payload index isn't passed on",
    ),
    "consistency": (lambda c: c.query_points("a", **QUERY, consistency=1), r"consistency \(there is one copy of the data"),
    "shard key": (lambda c: c.query_points("a", **QUERY, shard_key_selector="eu"), r"shard_key_selector \(a collection is one"),
    "lookup": (
        lambda c: c.query_points("a", **QUERY, lookup_from=models.LookupLocation(collection="b")),
        r"lookup_from \(vectors can be taken from the collection itself only",
    ),
    "lookup of a prefetch": (
        lambda c: c.query_points(
            "a", **QUERY, prefetch=models.Prefetch(**QUERY, lookup_from=models.LookupLocation(collection="b"))
        ),
        "lookup_from",
    ),
    "shard key in a batch": (
        lambda c: c.query_batch_points("a", [models.QueryRequest(**QUERY, shard_key="eu")]),
        "shard_key_selector",
    ),
    "timeout": (lambda c: c.query_batch_points("a", [], timeout=3), "timeout"),
    "ordering": (lambda c: c.upsert("a", [], ordering=models.WriteOrdering.STRONG), r"ordering \(writes happen in the order"),
    "unknown argument": (lambda c: c.query_points("a", **QUERY, colour="red"), "query_points takes no 'colour'"),
    "a method": (lambda c: c.list_snapshots("a"), "EdgeClient has no list_snapshots"),
    "an operation": (lambda c: c.batch_update_points("a", [7]), "has no change int: 7"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_engine_can_t_do_is_refused_by_name(client: EdgeClient, what: str) -> None:
    client.create_collection("a", FLAT)
    call, message = REFUSED[what]
    with pytest.raises(ClientError, match=message):
        call(client)


def test_no_method_of_the_client_runs_code_that_needs_a_server() -> None:
    mine = {name for kind in EdgeClient.__mro__[: EdgeClient.__mro__.index(QdrantClient)] for name in vars(kind)}
    theirs = {name for name in dir(QdrantClient) if not name.startswith("_") and callable(getattr(QdrantClient, name))}
    assert theirs <= mine
    assert isinstance(EdgeClient("nowhere"), QdrantClient)  # so that what checks for one takes it
    assert repr(EdgeClient("nowhere", collection="a")) == "EdgeClient('nowhere', collection='a')"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1,\n "b": }', "collection_metadata.json:2: a file of the collection is damaged: Expecting value"),
        ('{"a": 1, "a": 2}', "collection_metadata.json: a file of the collection is damaged: a key is in one object twice"),
        ("[]", "it holds no JSON object"),
        ("[" * 100_000, "a file of the collection is damaged"),
        ("\xff", "a file of the collection is damaged"),
    ],
)
def test_damaged_metadata_is_an_error_that_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("c", FLAT, metadata={"a": 1})
        (tmp_path / "c" / "collection_metadata.json").write_text(text, "latin-1")
        with refused(FormatError, says):
            client.get_collection("c")
