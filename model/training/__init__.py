"""Builds networks, trains them on what is known of labelled images, and tunes their thresholds."""
