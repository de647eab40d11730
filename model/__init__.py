"""Holds all that bulklabel knows without Beam: labels, images, the network, the statistic and its metrics."""
