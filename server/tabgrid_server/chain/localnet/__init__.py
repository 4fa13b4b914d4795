"""A Solana chain in one process: LiteSVM, with the real SPL programs, behind JSON-RPC.

``machine`` executes, ``journal`` keeps, ``methods`` answers in the RPC's JSON, ``views``
writes that JSON, ``app`` serves it. Any Solana client can use it; see ``app.serve``.
What a cluster has and this has not: forks, votes, durable nonces, look-up tables.
"""
