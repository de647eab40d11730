"""Reads answers, probabilities with truth beside them, wherever they are: in a run, an evaluation, or other tables."""
