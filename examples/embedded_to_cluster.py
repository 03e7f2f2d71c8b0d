"""From a folder on this machine to a server or a cluster: the strategy stays, the client and the points move.

With `QDRANT_URL` (and `QDRANT_API_KEY`) they move to that server, into the collection "moved-guide", which is removed at the
end; without it to qdrant-client's local mode, so that this runs offline. Needs `pip install 'qdrant-rerank[edge]'`.
"""

import os
import tempfile

from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Fusion, Nearest, Query, SearchOptions
from qdrant_rerank.demo import CORPUS
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.ingest import ensure_collection, ingest, read_jsonl
from qdrant_rerank.models import Bm25, Encoder, HashedNgrams

NAME = "moved-guide"
encoders: dict[str, Encoder] = {"dense": HashedNgrams(), "bm25": Bm25()}
strategy = Fusion.rrf().over(Nearest("dense", limit=50), Nearest("bm25", limit=50))
question, best = Query("bikes on the night train"), SearchOptions(limit=3)

folder = EdgeClient(tempfile.mkdtemp())
ensure_collection(folder, "guide", encoders)
ingest(folder, "guide", read_jsonl(CORPUS), encoders)
embedded = Executor(folder, "guide", encoders=encoders)
before = embedded.retrieve(strategy, question, best)

url = os.environ.get("QDRANT_URL")
server = QdrantClient(url, api_key=os.environ.get("QDRANT_API_KEY")) if url else QdrantClient(":memory:")
ensure_collection(server, NAME, encoders, strategy=strategy)  # with the payload indexes that the strategy reads
points, offset = folder.scroll("guide", limit=256, with_vectors=True)
while points:  # vectors are moved, not made again
    moved = [models.PointStruct(id=point.id, vector=point.vector or {}, payload=point.payload) for point in points]
    server.upsert(NAME, moved, wait=True)
    if offset is None:
        break
    points, offset = folder.scroll("guide", limit=256, offset=offset, with_vectors=True)
folder.close()

executor = Executor(server, NAME, encoders=encoders)
print(executor.plan(strategy).describe())  # with warnings of what a server or shards change
after = executor.retrieve(strategy, question, best)
print("the same first result:", after[0].id == before[0].id)
server.delete_collection(NAME)
