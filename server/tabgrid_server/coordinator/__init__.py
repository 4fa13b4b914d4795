"""The one who knows what goes on: which nodes are there, which jobs run, what is owed.

``Coordinator`` is the shell around the pure scheduler. Beside it: what each grid offers
(``offers``), what is in memory (``live``), what a node's answer must be (``verify``), what is
kept of it (``receipts``), what it costs (``pricing``), and who wants to know (``bus``).
"""

from .core import Caller, Coordinator

__all__ = ["Caller", "Coordinator"]
