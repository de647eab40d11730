"""What a run leaves in its output: plan, parts, manifest, and whose it is."""
