"""A finished run is checked against its own manifest, and some of it scored again."""
