"""``tabgrid bench trust``: the grid's own trust policy against cheats of every kind."""

from .report import lines, table
from .runs import RATES, Outcome, Plan, Row, plans, run, run_all

__all__ = ["RATES", "Outcome", "Plan", "Row", "lines", "plans", "run", "run_all", "table"]
