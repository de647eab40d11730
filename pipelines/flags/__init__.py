"""Flags that commands share; nothing here imports Beam or TensorFlow."""
