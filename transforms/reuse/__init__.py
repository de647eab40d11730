"""Answers of earlier runs that a new one takes over or leaves out."""
