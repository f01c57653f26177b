"""Who owns a store on this machine, and how its other users find, start and ask that owner.

Here: the lock on the folder, the record that names the owner, the thin client, hand-over, maintenance leases.
Not here: the HTTP app that an owner serves (http), and the commands (cli). Imports little: `memory mcp` starts through it.
"""
