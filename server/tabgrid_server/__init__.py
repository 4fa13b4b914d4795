"""The coordinator: takes jobs, hands them to nodes, books the pay, shows it all."""

from __future__ import annotations

__version__ = "0.1.0"
