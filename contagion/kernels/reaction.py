"""What all accounts together make of the prices of one round."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from contagion.kernels.inputs import Bools, Codes, Floats, Ints


class State(NamedTuple):
    """The four unknowns, and what the next round needs of the last clearing."""

    log_drop: Floats  # (m,) δ
    liquidated: Floats  # (a,) λ
    withdrawn: Floats  # (j,) η
    haircut: Floats  # (n,) θ
    average: Floats  # (m,) sellers' price v


class Immune(NamedTuple):
    """Whose reactions stay without effect on others, as if somebody outside the system had stood in for them."""

    accounts: Bools  # (a,) sell off the market: shares, losses and deficits are their own, prices do not feel the sale
    quotes: Bools  # (j,) stay, whatever becomes of their account
    nodes: Bools  # (n,) whose claimants lose nothing


class Funds(NamedTuple):
    """Margin calls of linked accounts (l,) and the money that answers them, USD."""

    asked: Floats
    need: Floats  # of it, what is still missing
    received: Floats
    given: Floats
    drawn: Floats  # share that is sold for what was given


Ratchet = Callable[[Floats, Floats], Floats]
"""np.maximum for rounds that set out from nothing lost, np.minimum for rounds from everything lost."""


class Reaction(NamedTuple):
    """What accounts ask of markets and nodes, and how much they moved."""

    liquidated: Floats  # (a,) λ after the ratchet
    sold: Floats  # (m,) Q, USD at opening prices
    quoting: Floats  # (j,) equity of the account behind each quote, USD
    closing: Floats  # (j,) its liquidated share
    haircut: Floats  # (n,) θ that its losses ask of each node, before the ratchet
    moved: float  # largest move of any λ
    deficit: float  # USD
    evaluated_count: int  # accounts whose lines were taken; no other can have changed
    called_count: int  # accounts with an open margin call
    liquidated_count: int  # accounts of which anything has been sold


class Firsts(NamedTuple):
    """When accounts first acted; a pass writes into these arrays as rounds go by."""

    called: Ints  # (a,) first round with an open call, 0 if none
    liquidated: Ints  # (a,) first round with a sale, 0 if none
    cause: Codes  # (a,) rule behind the first sale, 0 if none

    @classmethod
    def of(cls, size: int) -> Firsts:
        """Return those of accounts that have not acted."""
        return cls(np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int8))


class Pass(Protocol):
    """Evaluates all accounts, round after round."""

    firsts: Firsts
    opening: Floats  # (j,) equity, before anything happened, of the account behind each quote

    def __call__(self, number: int, state: State) -> Reaction:
        """Return what accounts do in round ``number`` at the prices and haircuts of a state."""

    def flush(self) -> None:
        """Bring the shares (a,) that were returned, and when accounts first acted, up to date.

        Between rounds nobody reads them, so a pass may keep its notes elsewhere.
        """
