"""The one who knows what goes on: which nodes are there, which jobs run, what is owed.

``Coordinator`` (``core``) takes jobs and calls them off. Around it, with what they share in
``state``: the shell of the pure scheduler (``dispatch``), what nodes say (``nodes``), their
answers (``results``), how jobs end (``booking``), and the checks by references (``auditing``).
Pure, beside them: what each grid offers (``offers``), what is in memory (``live``), what a
node's answer must be (``verify``), what is kept of it (``receipts``), what it costs
(``pricing``), and who wants to know (``bus``).
"""

from .core import Caller, Coordinator

__all__ = ["Caller", "Coordinator"]
