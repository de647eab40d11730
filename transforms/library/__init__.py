"""Scores images in other people's pipelines, by a transform or by a handler for Beam's `RunInference`."""
