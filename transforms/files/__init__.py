"""Local and remote files by one set of functions, with retries."""
