"""Learned ranking: from judgments or trained models to formulas that Qdrant runs.

    log = log_features(executor, candidates, topics, qrels, {"dense": score("dense"), "bm25": score("bm25")})
    ranker = fit_logistic(log, calibration="platt")
    ranker.save("ranker.json")                                     # search --strategy ranker.json

Needs the extra `[learn]` for fitting, which is loaded when it is used; `from_model` needs only the model.
"""

from __future__ import annotations

from .._internals import MAX_BYTES, MAX_CONDITIONS, Trained, TrainedVector
from .calibration import OperatingPoint
from .clicks import Clicks, read_clicks
from .drift import Drift, FeatureDrift, check_fields, drift
from .features import Category, Feature, FeatureLike, Features
from .feedback_fit import FeedbackEstimate, afit_feedback, estimate_feedback_fit, fit_feedback
from .feedback_judgement import FeedbackFit
from .feedback_training import sample_queries
from .log import FeatureLog, LogCoverage
from .log_features import Negatives, log_features
from .log_files import read_log, write_log
from .logistic import fit_logistic
from .ranker import FeatureWeight, LearnedRanker, Training, calibrate_scores, for_report, ranker_from_expression
from .trained_models import FormulaCost, formula_cost, formula_from_model, from_model

__all__ = [
    "MAX_BYTES",
    "MAX_CONDITIONS",
    "Category",
    "Clicks",
    "Drift",
    "Feature",
    "FeatureDrift",
    "FeatureLike",
    "FeatureLog",
    "FeatureWeight",
    "Features",
    "FeedbackEstimate",
    "FeedbackFit",
    "FormulaCost",
    "LearnedRanker",
    "LogCoverage",
    "Negatives",
    "OperatingPoint",
    "Trained",
    "TrainedVector",
    "Training",
    "afit_feedback",
    "calibrate_scores",
    "check_fields",
    "drift",
    "estimate_feedback_fit",
    "fit_feedback",
    "fit_logistic",
    "for_report",
    "formula_cost",
    "formula_from_model",
    "from_model",
    "log_features",
    "ranker_from_expression",
    "read_clicks",
    "read_log",
    "sample_queries",
    "write_log",
]
