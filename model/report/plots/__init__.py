"""Specifies the pages' plots in Vega-Lite; the pages' scripts fill in the data."""
