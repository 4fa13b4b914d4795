"""Auditing a grid from outside: ``grid`` reads its public API, ``payments`` the chain, and
``checks``, which is pure, holds one against the other."""

from __future__ import annotations

from . import fates
from .checks import check
from .evidence import Evidence
from .gather import NotAudited, gather

__all__ = ["Evidence", "NotAudited", "check", "fates", "gather"]
