"""Learned ranking: from judgments or trained models to formulas that Qdrant runs.

    log = log_features(executor, candidates, topics, qrels, {"dense": score("dense"), "bm25": score("bm25")})
    ranker = fit_logistic(log, calibration="platt")
    ranker.save("ranker.json")                                     # search --strategy ranker.json

Needs the extra `[learn]` for fitting, which is loaded when it is used; `from_model` needs only the model.
"""

from __future__ import annotations

from .._internals import Trained
from .budget import MAX_BYTES, MAX_CONDITIONS, Budget, budget
from .calibration import calibrate_scores, ranker_from_expression
from .clicks import Clicks, read_clicks
from .coefficients import FeatureWeight, for_report
from .drift import Drift, FeatureDrift, check_fields, drift
from .feature_log import FeatureLog, LogCoverage
from .features import Category, Feature, FeatureLike, Features
from .feedback_fit import FeedbackEstimate, FeedbackFit, afit_feedback, estimate, fit_feedback
from .from_model import formula_from_model, from_model
from .log_features import log_features
from .log_files import read_log, write_log
from .log_sampling import Negatives
from .logistic import fit_logistic
from .ranker import LearnedRanker, Training
from .reliability import OperatingPoint

__all__ = [
    "MAX_BYTES",
    "MAX_CONDITIONS",
    "Budget",
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
    "LearnedRanker",
    "LogCoverage",
    "Negatives",
    "OperatingPoint",
    "Trained",
    "Training",
    "afit_feedback",
    "budget",
    "calibrate_scores",
    "check_fields",
    "drift",
    "estimate",
    "fit_feedback",
    "fit_logistic",
    "for_report",
    "formula_from_model",
    "from_model",
    "log_features",
    "ranker_from_expression",
    "read_clicks",
    "read_log",
    "write_log",
]
