"""Memories in a Qdrant server or cluster, over REST or gRPC.

`backend` is the storage; `lifecycle` decides which collection stands behind the alias. Not here: the embedded engine.
"""
