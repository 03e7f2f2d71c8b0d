"""Names of `qdrant_rerank.learn` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .calibration import Method as Method
    from .calibration import ScoreMap as ScoreMap
    from .calibration import auc as auc
    from .calibration import fit_map as fit_map
    from .calibration import list_operating_points as list_operating_points
    from .calibration import measure_reliability as measure_reliability
    from .calibration import threshold_for as threshold_for
    from .candidates import CandidateSearch as CandidateSearch
    from .candidates import draw_points as draw_points
    from .candidates import search_candidates as search_candidates
    from .features import check_features as check_features
    from .features import compute_features as compute_features
    from .features import features_from_json as features_from_json
    from .features import selector as selector
    from .feedback.examples import SYNTHETIC_WARNING as SYNTHETIC_WARNING
    from .feedback.examples import Documents as Documents
    from .feedback.examples import Example as Example
    from .feedback.examples import Examples as Examples
    from .feedback.examples import collect_examples as collect_examples
    from .feedback.examples import first_search as first_search
    from .feedback.examples import is_sampled as is_sampled
    from .feedback.examples import query_texts as query_texts
    from .feedback.examples import sample_queries as sample_queries
    from .feedback.fit import LEAST_QUERIES as LEAST_QUERIES
    from .feedback.fit import check_candidate_count as check_candidate_count
    from .feedback.fit import check_queries as check_queries
    from .feedback.fit import duration as duration
    from .feedback.judgement import LEAST_JUDGED as LEAST_JUDGED
    from .feedback.judgement import Judgement as Judgement
    from .feedback.judgement import above_noise as above_noise
    from .feedback.judgement import agreement as agreement
    from .feedback.judgement import disagreement as disagreement
    from .feedback.judgement import judge as judge
    from .feedback.judgement import judgments_of as judgments_of
    from .feedback.judgement import unseen as unseen
    from .feedback.judgement import verdict as verdict
    from .feedback.score_file import Ahead as Ahead
    from .feedback.score_file import Progress as Progress
    from .feedback.score_file import ScoreFile as ScoreFile
    from .feedback.training import fit_folds as fit_folds
    from .feedback.training import formula_scores as formula_scores
    from .feedback.training import train as train
    from .log import TopicRows as TopicRows
    from .log_files import LogStream as LogStream
    from .log_files import read_stream as read_stream
    from .logistic import margin_expression as margin_expression
    from .ranker import describe_weights as describe_weights
    from .solver import LEAST_TOPICS as LEAST_TOPICS
    from .solver import Array as Array
    from .solver import Problem as Problem
    from .solver import draw_bootstraps as draw_bootstraps
    from .solver import log_losses as log_losses
    from .solver import make_pairs as make_pairs
    from .solver import one_thread as one_thread
    from .solver import prepare as prepare
    from .solver import solve as solve
    from .solver import split_folds as split_folds
    from .trained_models.columns import EVERYTHING as EVERYTHING
    from .trained_models.columns import Column as Column
    from .trained_models.columns import Columns as Columns
    from .trained_models.columns import MinMax as MinMax
    from .trained_models.columns import Region as Region
    from .trained_models.columns import Standard as Standard
    from .trained_models.columns import at_most as at_most
    from .trained_models.columns import below_f32 as below_f32
    from .trained_models.columns import bounds as bounds
    from .trained_models.columns import greater_than as greater_than
    from .trained_models.columns import last as last
    from .trained_models.columns import no_greater_f32 as no_greater_f32
    from .trained_models.columns import points as points
    from .trained_models.columns import whole_numbers as whole_numbers
    from .trained_models.trees import Leaf as Leaf
    from .trained_models.trees import Split as Split
    from .trained_models.trees import ensemble as ensemble
    from .trained_models.trees import make_gate as make_gate
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "calibration": "Method, ScoreMap, auc, fit_map, list_operating_points, measure_reliability, threshold_for",
            "candidates": "CandidateSearch, draw_points, search_candidates",
            "features": "check_features, compute_features, features_from_json, selector",
            "feedback.examples": "SYNTHETIC_WARNING, Documents, Example, Examples, collect_examples, first_search, "
            "is_sampled, query_texts, sample_queries",
            "feedback.fit": "LEAST_QUERIES, check_candidate_count, check_queries, duration",
            "feedback.judgement": "LEAST_JUDGED, Judgement, above_noise, agreement, disagreement, judge, "
            "judgments_of, unseen, verdict",
            "feedback.score_file": "Ahead, Progress, ScoreFile",
            "feedback.training": "fit_folds, formula_scores, train",
            "log": "TopicRows",
            "log_files": "LogStream, read_stream",
            "logistic": "margin_expression",
            "ranker": "describe_weights",
            "solver": "LEAST_TOPICS, Array, Problem, draw_bootstraps, log_losses, make_pairs, one_thread, prepare, "
            "solve, split_folds",
            "trained_models.columns": "EVERYTHING, Column, Columns, MinMax, Region, Standard, at_most, below_f32, "
            "bounds, greater_than, last, no_greater_f32, points, whole_numbers",
            "trained_models.trees": "Leaf, Split, ensemble, make_gate",
        },
    )
