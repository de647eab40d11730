"""Counting: blocks of records and labels, and the exact integer sums that a statistic is made of."""
