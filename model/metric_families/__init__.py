"""The metrics: families of numbers that share the sums they are made of."""
