"""Defines the metrics, in families that share the sums they are made of."""
