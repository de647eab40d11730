"""Scoring for other people's pipelines: a transform, and a handler for Beam's RunInference."""
