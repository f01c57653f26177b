"""Moving in and moving on: memories from other stores, another embedding model, another backend, and the way back.

Here: sources, plan, transfer, checkpoint, validation, report. Not here: what is printed where, and reading settings (cli).
"""
