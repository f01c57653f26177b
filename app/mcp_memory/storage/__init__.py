"""Where memories are kept: the storage contract, one package a backend, the circuit breaker around whichever is used.

Not here: embedding texts, and rules about what a memory may contain (domain).
"""
