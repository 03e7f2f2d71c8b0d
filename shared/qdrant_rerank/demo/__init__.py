"""A demonstration on a small travel guide: what each strategy changes, what it costs, how well it did.

`guide` holds the documents and questions, `lineup` the strategies, `measure` what is measured, `show` the output,
`run` puts them together. The command `qdrant-rerank demo` is in `qdrant_rerank.cli.demo`.
"""
