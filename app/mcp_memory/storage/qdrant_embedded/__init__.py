"""Memories in a folder of this machine, by Qdrant's own engine (qdrant-edge) in a process of its own.

`backend` is the client that the service uses; `engine` is the process. Not here: Qdrant over the network.
"""
