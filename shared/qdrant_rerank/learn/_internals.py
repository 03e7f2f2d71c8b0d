"""Names of `qdrant_rerank.learn` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .calibrating import Method as Method
    from .calibrating import ScoreMap as ScoreMap
    from .calibrating import fit_map as fit_map
    from .coefficients import as_table as as_table
    from .columns import Column as Column
    from .columns import Columns as Columns
    from .columns import MinMax as MinMax
    from .columns import Standard as Standard
    from .crossing import bootstrapped as bootstrapped
    from .definitions import features_of as features_of
    from .drift import psi as psi
    from .feature_log import Reference as Reference
    from .feedback_fit import LEAST_QUERIES as LEAST_QUERIES
    from .feedback_fit import Progress as Progress
    from .feedback_fit_checks import check_candidates as check_candidates
    from .feedback_fit_checks import check_queries as check_queries
    from .feedback_fit_cost import duration as duration
    from .feedback_fit_cross import cross_fitted as cross_fitted
    from .feedback_fit_data import Example as Example
    from .feedback_fit_data import Examples as Examples
    from .feedback_fit_data import first_search as first_search
    from .feedback_fit_data import gathered as gathered
    from .feedback_fit_documents import Documents as Documents
    from .feedback_fit_judge import Judged as Judged
    from .feedback_fit_judge import above_noise as above_noise
    from .feedback_fit_judge import agreement as agreement
    from .feedback_fit_judge import disagreement as disagreement
    from .feedback_fit_judge import judged as judged
    from .feedback_fit_judge import unseen as unseen
    from .feedback_fit_judge import verdict as verdict
    from .feedback_fit_measure import LEAST_JUDGED as LEAST_JUDGED
    from .feedback_fit_measure import judgments_of as judgments_of
    from .feedback_fit_queries import query_texts as query_texts
    from .feedback_fit_scores import Ahead as Ahead
    from .feedback_fit_scores import ScoreFile as ScoreFile
    from .feedback_fit_train import formula_scores as formula_scores
    from .feedback_fit_train import trained as trained
    from .feedback_sampling import SYNTHETIC_WARNING as SYNTHETIC_WARNING
    from .feedback_sampling import is_sampled as is_sampled
    from .feedback_sampling import sampled_queries as sampled_queries
    from .fitting_data import LEAST_TOPICS as LEAST_TOPICS
    from .fitting_data import pairs as pairs
    from .fitting_data import prepared as prepared
    from .gates import gate as gate
    from .log_candidates import CandidateSearch as CandidateSearch
    from .log_candidates import found as found
    from .log_columns import computed as computed
    from .log_columns import featured as featured
    from .log_columns import selector as selector
    from .log_stream import LogStream as LogStream
    from .log_stream import TopicRows as TopicRows
    from .log_stream import read_stream as read_stream
    from .logistic import margin_of as margin_of
    from .metrics import auc as auc
    from .regions import EVERYTHING as EVERYTHING
    from .regions import Region as Region
    from .regions import above as above
    from .regions import at_most as at_most
    from .regions import below_f32 as below_f32
    from .regions import bounds as bounds
    from .regions import last as last
    from .regions import no_greater_f32 as no_greater_f32
    from .regions import points as points
    from .regions import whole_numbers as whole_numbers
    from .reliability import operating_points as operating_points
    from .reliability import reliability as reliability
    from .reliability import threshold_for as threshold_for
    from .sampling import stored_points as stored_points
    from .solving import Array as Array
    from .solving import Problem as Problem
    from .solving import folds_of as folds_of
    from .solving import losses as losses
    from .solving import one_thread as one_thread
    from .solving import solve as solve
    from .trees import Leaf as Leaf
    from .trees import Split as Split
    from .trees import ensemble as ensemble
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "calibrating": "Method, ScoreMap, fit_map",
            "coefficients": "as_table",
            "columns": "Column, Columns, MinMax, Standard",
            "crossing": "bootstrapped",
            "definitions": "features_of",
            "drift": "psi",
            "feature_log": "Reference",
            "feedback_fit": "LEAST_QUERIES, Progress",
            "feedback_fit_checks": "check_candidates, check_queries",
            "feedback_fit_cost": "duration",
            "feedback_fit_cross": "cross_fitted",
            "feedback_fit_data": "Example, Examples, first_search, gathered",
            "feedback_fit_documents": "Documents",
            "feedback_fit_judge": "Judged, above_noise, agreement, disagreement, judged, unseen, verdict",
            "feedback_fit_measure": "LEAST_JUDGED, judgments_of",
            "feedback_fit_queries": "query_texts",
            "feedback_fit_scores": "Ahead, ScoreFile",
            "feedback_fit_train": "formula_scores, trained",
            "feedback_sampling": "SYNTHETIC_WARNING, is_sampled, sampled_queries",
            "fitting_data": "LEAST_TOPICS, pairs, prepared",
            "gates": "gate",
            "log_candidates": "CandidateSearch, found",
            "log_columns": "computed, featured, selector",
            "log_stream": "LogStream, TopicRows, read_stream",
            "logistic": "margin_of",
            "metrics": "auc",
            "regions": "EVERYTHING, Region, above, at_most, below_f32, bounds, last, no_greater_f32, points, whole_numbers",
            "reliability": "operating_points, reliability, threshold_for",
            "sampling": "stored_points",
            "solving": "Array, Problem, folds_of, losses, one_thread, solve",
            "trees": "Leaf, Split, ensemble",
        },
    )
