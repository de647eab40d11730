"""Rehearses a run on a sample of its records, and forecasts its time, its output and its memory."""
