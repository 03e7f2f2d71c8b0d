"""A LangChain retriever whose ranking Qdrant computes: similarity and rating in one request. Runs offline.

The embedding is a stand-in that knows no meaning (equal texts are equal, all others are strangers): use a real one.
"""

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnablePassthrough
from qdrant_client import QdrantClient, models

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Formula, Nearest, field, score

RECIPES = {"tomato soup": 4.5, "pea soup": 3.1, "lentil curry": 4.8, "apple pie": 4.9, "rye bread": 2.2}

embeddings = DeterministicFakeEmbedding(size=64)
client = QdrantClient(":memory:")
client.create_collection("recipes", vectors_config=models.VectorParams(size=64, distance=models.Distance.COSINE))
for number, (name, rating) in enumerate(RECIPES.items()):
    payload = {"page_content": name, "metadata": {"rating": rating}}
    client.upsert("recipes", [models.PointStruct(id=number, vector=embeddings.embed_query(name), payload=payload)])

similar = QdrantRerankRetriever(client=client, collection_name="recipes", embedding=embeddings, k=3)
print("similar:  ", [document.page_content for document in similar.invoke("pea soup")])

strategy = Formula(score() + 0.5 * field("metadata.rating", default=3.0)).over(Nearest(limit=100))
loved = similar.model_copy(update={"strategy": strategy})
for document, points in loved.search_with_scores("pea soup"):
    print("and loved:", document.page_content, round(points, 2))

rated = models.Filter(must=[models.FieldCondition(key="metadata.rating", range=models.Range(gte=4))])
context = loved.bind(filter=rated, k=2) | (lambda documents: ", ".join(document.page_content for document in documents))
prompt = PromptTemplate.from_template("Recipes: {context}\nWhat goes with {question}?")
chain = {"context": context, "question": RunnablePassthrough()} | prompt
print(chain.invoke("rye bread").to_string())
