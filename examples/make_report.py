"""Which strategy should I use? Six strategies on the demo's travel guide, compared, tuned, and a report to look at. Offline.

Run `python examples/make_report.py report.html`, or with a name that ends in .md or .json. 97 documents and 38 questions
are an illustration, no evidence. Needs `pip install 'qdrant-rerank[learn,edge]'`.
"""

import sys

from qdrant_client import QdrantClient

from qdrant_rerank import Executor
from qdrant_rerank.demo import CORPUS, FORMULA, LINEUP, TODAY, questions
from qdrant_rerank.evaluate import Qrels, Topic, Topics, compare, evaluate
from qdrant_rerank.ingest import ensure_collection, ingest, read_jsonl
from qdrant_rerank.models import Bm25, Encoders, HashedNgrams
from qdrant_rerank.report import report
from qdrant_rerank.tune import tune

client = QdrantClient(":memory:")
encoders = {"dense": HashedNgrams(), "bm25": Bm25()}
ensure_collection(client, "guide", encoders, strategy=FORMULA.strategy)
ingest(client, "guide", read_jsonl(CORPUS), encoders)
executor = Executor(client, "guide", encoders=Encoders(encoders))

topics = Topics(Topic(one.id, one.text, params=FORMULA.params, now=TODAY) for one in questions())
qrels = Qrels({one.id: one.judgments for one in questions()})
evaluations = [evaluate(entry.strategy, topics, qrels, executor=executor, name=entry.name) for entry in LINEUP]
found = report(
    compare(evaluations, baseline="plain dense", explain=True),
    tune(executor, topics, qrels),
    title="Which strategy for the travel guide?",
    details={"corpus": "an invented travel guide: 97 documents, judged by one author", "engine": "qdrant-client's local mode"},
)
print("wrote", found.save(sys.argv[1] if len(sys.argv) > 1 else "report.html"))
