"""The result of a solve on parts: tables of markets, nodes and rounds; accounts on demand, to disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd

from contagion import frames
from contagion.errors import refuse
from contagion.frames.nodes import with_sums
from contagion.frozen import HandsOutCopies
from contagion.io.partitioned import folder_in_parts
from contagion.io.paths import check_path
from contagion.kernels import Outcome, Rounds
from contagion.kernels.chunks import in_order
from contagion.kernels.convergence import error_estimate, local_rate
from contagion.kernels.credit import Losses, borne
from contagion.kernels.dollars import Sums, totals
from contagion.kernels.inputs import Floats
from contagion.kernels.markets import clear, prices
from contagion.kernels.reaction import Funds
from contagion.parts.engine import Parts
from contagion.parts.messages import Ending
from contagion.parts.partitioned import Partitioned
from contagion.scenario import Scenario

if TYPE_CHECKING:
    from contagion.parts.whole import Whole

__all__ = ["PartitionedSolution", "Settled", "settled"]

_CURES = dict.fromkeys(
    ("liquidations", "direct_loss", "amplification", "stock_flow", "knife_edge", "enclosure", "self_fulfilling"),
    "solve a System for it (read_system), if it fits",
) | {"accounts": "write_accounts(folder) writes it part by part"}
"""What to do about what a `contagion.Solution` has and this has not."""


class Settled(NamedTuple):
    """What follows from the final state, and what it takes to ask the parts again."""

    made: frames.Parts  # without accounts
    sums: Sums
    outside: Floats  # (n,)
    ending: Ending
    funds: Sequence[Funds] | None


def settled(whole: Whole, parts: Parts, run: Rounds) -> Settled:
    """Return what follows from the final (λ, η, θ) and net sales Q of the rounds; see `contagion.kernels.settle`."""
    inputs, state, sold = whole.inputs, run.state, run.sold
    assert sold is not None  # there has been a round
    with np.errstate(over="ignore", invalid="ignore"):
        cleared = clear(inputs.markets, inputs.quotes, sold, state.withdrawn, state.haircut, None)
        price, average = prices(inputs.markets.price, cleared.log_drop), cleared.average(inputs.markets)
        at = whole.told(price, average, state.haircut)
        funds = whole.raised(parts, at)
        answers = parts.lost(at, whole.worth, funds)
        dollars, deficits, liquidated, owned = (in_order(np.concatenate(each)) for each in zip(*answers, strict=True))
        account_loss, gains, hidden, bad, funded = dollars.tolist()
        sums = Sums(account_loss, gains, hidden, bad, funded, deficits, liquidated, owned, np.zeros(0))
        claims, loss, theta = borne(inputs.nodes, deficits, owned, state.haircut)
    nothing = np.zeros(0)
    losses = Losses(nothing, nothing, nothing, nothing, deficits, claims, owned, loss, theta)
    outcome = Outcome(inputs, nothing, cast(Any, None), cleared, cast(Any, None), losses)
    made = frames.Parts(cast(Any, None), inputs, whole.labels, run, outcome)
    return Settled(made, sums, whole.outside, Ending(price, average, state.haircut), funds)


@dataclass(frozen=True, eq=False)
class PartitionedSolution(HandsOutCopies):
    """Tables and totals of a solved scenario on a system in parts; made by `contagion.solve`.

    They are those of `contagion.Solution`, but for what would hold all accounts at once: `write_accounts` writes that
    table part by part. What parts have on disk, or workers in memory, goes with this object, or with `close`.

    Attributes
    ----------
    system, scenario : Partitioned, Scenario
        What was solved; the system has the scenario's overrides applied.
    tol : float
        Step below which the rounds could end.
    settled : Settled
        Arrays that the tables are made from; not part of the public surface.
    parts : Parts
        Who holds the accounts; not part of the public surface.
    """

    system: Partitioned
    scenario: Scenario
    tol: float
    settled: Settled = field(repr=False)
    parts: Parts = field(repr=False)

    def __repr__(self) -> str:
        name = f"{self.scenario.name!r}, " if self.scenario.name else ""
        state = "converged" if self.converged else "NOT CONVERGED"
        certainty = f"{state} in {len(self._steps)} rounds, residual {self.residual:.1e}"
        return f"PartitionedSolution({name}loss {self.totals['loss']:,.2f} USD, {certainty})"

    @property
    def converged(self) -> bool:
        """Whether the last step was at most ``tol`` and the estimated error at most 1e-9."""
        return self.settled.made.run.converged

    @property
    def residual(self) -> float:
        """Largest move of any unknown (log drop, liquidated share, withdrawn share, haircut) in the last round."""
        return self._steps[-1] if self._steps else math.inf

    @property
    def rate(self) -> float:
        """Local rate ρ, by which the last rounds shrank the step; near one, a small step is not a small error."""
        return local_rate(self._steps)

    @property
    def looks(self) -> int:
        """How many passes looked ahead: none, for systems in parts take Jacobi rounds."""
        return 0

    @property
    def error_estimate(self) -> float:
        """Estimated distance to the fixed point, residual·ρ/(1 − ρ)."""
        return error_estimate(self._steps)

    @cached_property
    def _steps(self) -> tuple[float, ...]:
        return tuple(record.step for record in self.settled.made.run.records)

    @cached_property
    def markets(self) -> pd.DataFrame:
        """One row a market, as in `contagion.Solution.markets`."""
        return frames.markets(self._made)

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row a node, as in `contagion.Solution.nodes`."""
        return with_sums(self._made, self.settled.sums.liquidated, self.settled.outside)

    @cached_property
    def quotes(self) -> pd.DataFrame:
        """Rows of the quotes table with ``withdrawn``, the share of the depth that is gone."""
        return frames.quotes(self._made)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """One row a round, as in `contagion.Solution.rounds`."""
        return frames.rounds(self._made)

    @cached_property
    def prices(self) -> pd.DataFrame:
        """Price of every market (columns) after every round (rows; 0 is the opening), USD per unit."""
        return frames.prices(self._made)

    @property
    def totals(self) -> MappingProxyType[str, float]:
        """USD by name, as in `contagion.Solution.totals`."""
        made, sums = self.settled.made, self.settled.sums
        return MappingProxyType(totals(made.inputs.nodes, made.run.state.haircut, self.settled.outside, sums))

    def write_accounts(self, folder: str | Path) -> None:
        """Write the table of accounts, as in `contagion.Solution.accounts`, as one Parquet file a part.

        Parameters
        ----------
        folder : str or Path
            A new folder; it appears once it is whole. ``pandas.read_parquet(folder)`` reads all of it, if it fits.

        Raises
        ------
        InputError
            If there is something of that name already or the folder cannot be made, files of the system have changed
            since the solve began, or the solution was closed.
        """
        refuse(check_path("folder", folder), "write_accounts")
        with folder_in_parts(Path(folder)) as made:
            self.parts.write_accounts(made, self.settled.ending, self.settled.funds)

    def close(self) -> None:
        """Let go of what the parts hold; tables and totals stay."""
        self.parts.close()

    def __getattr__(self, name: str) -> Any:
        cure = f": it takes all accounts in memory; {_CURES[name]}" if name in _CURES else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{cure}")

    @property
    def _made(self) -> frames.Parts:
        return self.settled.made._replace(system=self.system.small)
