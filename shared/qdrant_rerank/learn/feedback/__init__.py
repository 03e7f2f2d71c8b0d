"""The fit of relevance feedback: its coefficients for one collection and one reranker, and whether they are worth using."""
