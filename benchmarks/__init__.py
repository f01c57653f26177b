"""Measurements: each module prints figures, side by side where it compares.

`make bench` runs those that docs/benchmarks.md quotes.
"""
