"""``python -m tabgrid_server.export``: 'tabgrid models', where only the export tools are."""

from __future__ import annotations

from tabgrid_server.cli.models import models

models(prog_name="tabgrid models")
