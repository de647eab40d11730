"""Builds networks, trains them on what is known of labelled images, calibrates them, and tunes their thresholds."""

NETWORKS = RESIDUAL, TEXTBOOK = ("residual", "textbook")
"""The networks that can be trained from nothing; the first one is the default."""

LOSSES = CROSSENTROPY, ASYMMETRIC = ("crossentropy", "asymmetric")
"""What can be made small; the first one is the default. They are named here so that `--help` imports no TensorFlow."""

EPOCHS = {RESIDUAL: 30, TEXTBOOK: 10, None: 15}
"""Passes over the samples if nothing is said; None is for a network that has learnt something before."""
