"""Truth, thresholds and predictions: what labels mean before, and after, the network."""
