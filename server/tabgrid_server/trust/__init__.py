"""Which answers are checked, who is paid when, and what follows from a wrong answer.

``Trust.handle(event, now)`` takes what happened and returns what to do, each instruction with
its reason in words. A pure core without clock, IO or randomness: the secrets behind its draws
come in as events, see ``draws``. The coordinator carries it out; ``tabgrid bench trust`` drives
the same code with cheats of every kind.
"""

from .core import Trust
from .events import (
    AppealCutShort,
    AppealFiled,
    AppealHeard,
    AppealJudged,
    BugConfirmed,
    CheckAbandoned,
    Checked,
    ClassCleared,
    ClassKey,
    EpochOpened,
    Event,
    GoldensReturned,
    ResultReturned,
    Ticked,
    UnitKey,
    UnitOffered,
)
from .instructions import Instruction
from .policy import ONE, Policy

__all__ = [
    "ONE",
    "AppealCutShort",
    "AppealFiled",
    "AppealHeard",
    "AppealJudged",
    "BugConfirmed",
    "CheckAbandoned",
    "Checked",
    "ClassCleared",
    "ClassKey",
    "EpochOpened",
    "Event",
    "GoldensReturned",
    "Instruction",
    "Policy",
    "ResultReturned",
    "Ticked",
    "Trust",
    "UnitKey",
    "UnitOffered",
]
