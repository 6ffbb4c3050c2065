"""Checks of systems and scenarios."""

from __future__ import annotations

from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["validate"]


def validate(system: System, scenario: Scenario | None = None) -> None:
    """Raise one InputError that lists every problem of a system and a scenario."""
    del system, scenario
