"""Names of `qdrant_rerank.learn` that tests and neighbours need and users don't.

Nothing is defined here. Who moves or renames what lies behind changes the line here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from .calibration import Method, ScoreMap, auc, fit_map, list_operating_points, measure_reliability, threshold_for
from .features import CandidateSearch, draw_points, search_candidates
from .features import check_features, compute_features, features_from_json, selector
from .feedback_training import Documents, Example, Examples, SYNTHETIC_WARNING, first_search, gather_examples, is_sampled
from .feedback_training import query_texts, replace_reranker, sample_queries
from .feedback_fit import LEAST_QUERIES, check_candidate_count, check_queries, duration
from .feedback_judgement import WayComparison, LEAST_JUDGED, agreement, disagreement, judgments_of, show_gain
from .feedback_judgement import unseen, verdict
from .feedback_scores import ScoringForecast, Progress, ScoreFile
from .feedback_training import fit_folds, formula_scores, train
from .log import TopicRows
from .log_files import LogStream, read_stream
from .logistic import margin_expression
from .ranker import describe_weights
from .solver import Array, LEAST_TOPICS, Problem, draw_bootstraps, log_losses, make_pairs, one_thread, prepare, solve
from .solver import split_folds
from .model_columns import Column, Columns, EVERYTHING, MinMax, Region, Standard, at_most, below_f32, bounds
from .model_columns import last, no_greater_f32, points, whole_numbers
from .model_trees import Leaf, Split, ensemble, make_gate
