"""What the machine gives, and what it is asked with care: record files, links, peers and owners.

Not here: what any of it is for. Imports the domain's errors and the standard library, nothing else.
"""
