"""Counts exactly: blocks of records and labels, and the mergeable integer sums that a statistic is made of."""
