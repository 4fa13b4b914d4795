"""The pages that people open: server-rendered, useful before any script runs.

``routes()`` and ``error_page()`` are all that the application needs; what the pages show
comes through the ``Views`` protocol, so that no page knows where a figure is kept.
"""

from __future__ import annotations

from .assets import Assets
from .routes import error_page, routes
from .views import Chain, Views

__all__ = ["Assets", "Chain", "Views", "error_page", "routes"]
