"""Reads and decodes what a network learns from, and keeps the state of its training."""
