"""One file for each group of paths. A router parses, calls one use case and answers; it decides nothing."""
