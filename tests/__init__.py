"""Tests: scikit-learn is the oracle for metrics, an uninterrupted local run for every other runner and every crash."""
