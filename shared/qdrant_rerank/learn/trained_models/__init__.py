"""Trained models of other libraries, read into formulas: scikit-learn, LightGBM, XGBoost."""
