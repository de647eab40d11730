"""What a person or a scheduler sees of a command: lines, logs, exit codes, progress."""
