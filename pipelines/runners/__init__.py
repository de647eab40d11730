"""Which runner takes a graph, what is checked before, and what is waited for."""
