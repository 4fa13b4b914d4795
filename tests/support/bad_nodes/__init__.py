"""Nodes that cheat, and honest ones beside them: real clients over real sockets.

``workshop`` has the models, as they are and tampered with; ``cheats`` names the ways to cheat
at an answer; ``liar`` puts one in the place of an honest computation; ``farm`` runs nodes of
the native program, honest or not; ``attacks`` breaks the protocol message by message; ``grid``
is the coordinator that they all meet, and what became of every job there.
"""
