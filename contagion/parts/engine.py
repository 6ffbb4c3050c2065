"""Who holds the parts: one machine that streams them from disk, or workers that keep them in memory.

An engine is opened on a plan and answers for all parts at once, in their order. `contagion.parts.local` is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.reaction import Funds
from contagion.parts.book import Summary
from contagion.parts.messages import Acted, Broadcast, Ending, Lost, Plan

__all__ = ["Engine", "Parts"]


class Parts(Protocol):
    """All parts of a system, opened; answers come in the order of parts."""

    @property
    def summaries(self) -> Sequence[Summary]:
        """Return what the whole has to know of each part."""

    def place(self, columns: Sequence[Ints]) -> None:
        """Tell each part the numbers of its term columns in the system as a whole; comes before all that follows."""

    def ask(self, at: Broadcast) -> list[tuple[Floats, Floats]]:
        """Return `Part.ask` of each part; leaves no trace."""

    def react(self, number: int, at: Broadcast, funds: Sequence[Funds] | None) -> list[Acted]:
        """Return `Part.react` of each part; round after round, each once."""

    def lost(self, at: Broadcast, worth: Floats, funds: Sequence[Funds] | None) -> list[Lost]:
        """Return `Part.lost` of each part; leaves no trace."""

    def write_accounts(self, folder: Path, ending: Ending, funds: Sequence[Funds] | None) -> None:
        """Write the table of accounts of each part into a folder; see `contagion.parts.account_table`."""

    def close(self) -> None:
        """Let go of all parts and of what was written for them."""


class Engine(Protocol):
    """Opens the parts of a system."""

    def open(self, plan: Plan, progress: bool = False) -> Parts:
        """Return the parts, read, checked and packed.

        Raises
        ------
        InputError
            If rows are not valid; the message lists every problem of every part.
        """
