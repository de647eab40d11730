"""The Beam layer: thin transforms over `model` that plan, read, score, write, evaluate and publish."""
