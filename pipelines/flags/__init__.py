"""The flags of each command, and those that several share; nothing here imports Beam or TensorFlow."""
