"""Says what labels mean before and after the network: truth, thresholds and predictions."""
