"""Names and shapes of the solver's arrays: a accounts, k term columns, r priced pairs, m markets, j quotes, n nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int8]
Bools = NDArray[np.bool_]

COLLATERAL, DEBT, LONG, SHORT = range(4)
"""Side of a term column; quantities are all positive."""

LTV, MAINTENANCE = range(2)
"""Margin rules."""

RESTORE, FULL, CLOSE_FACTOR = range(3)
"""Close rules."""

NO_CALL, DELEVER, FUND = range(3)
"""Call policies."""


class Positions(NamedTuple):
    """Holdings as a sparse matrix, and what one unit in each of its columns counts for.

    A term column is a distinct (platform, mode, asset, side, weight, maintenance): all positions in it are valued
    alike. A priced pair is a distinct (platform, asset): all columns in it see the same oracle and are sold along the
    same route.
    """

    quantity: sparse.csr_array  # (a, k) units, positive
    side: Codes  # (k,)
    pair: Ints  # (k,) priced pair
    weight: Floats  # (k,)
    maintenance: Floats  # (k,)
    cost: Floats  # (k,)
    oracle: sparse.csr_array  # (r, m) weights of market prices
    oracle_fixed: Floats  # (r,) USD per unit that does not move
    route: sparse.csr_array  # (r, m) shares of the flow


class Accounts(NamedTuple):
    """Margin accounts and the rules of the platform that holds them."""

    platform: Ints  # (a,) node
    owner: Ints  # (a,) node, or -1 if the owner is not a node
    cash: Floats  # (a,) USD
    entry: Floats  # (a,) sum of signed quantity times entry price of its perps, USD
    claims: sparse.csr_array  # (a, n) USD owed to it
    margin_rule: Codes  # (a,)
    liquidation_level: Floats  # (a,)
    target_level: Floats  # (a,) at least the liquidation level
    close_rule: Codes  # (a,)
    close_factor: Floats  # (a,)
    full_close_level: Floats  # (a,)
    call_policy: Codes  # (a,)
    call_level: Floats  # (a,)
    call_target: Floats  # (a,) level that a met call restores
    stop_loss: Floats  # (a,) NaN if there is none
    funded: Ints  # (f,) called account, rows in the order in which money is asked for
    source: Ints  # (f,) account that gives


class Markets(NamedTuple):
    """Markets, what moves their reference prices, and what links them."""

    price: Floats  # (m,) opening, USD per unit
    shock: Floats  # (m,) log drop imposed
    kind: Codes  # (m,) position in channels.IMPACTS
    floor: Floats  # (m,)
    depth: Floats  # (m,) USD, without quotes; may be infinite
    factor: Floats  # (m,) of the scenario
    raising_factor: Floats  # (m,) product of its entries above one
    pegged_to: Ints  # (m,) market, or -1
    peg_order: Ints  # (m,) markets, each after the one that it is pegged to
    issuer: Ints  # (m,) node, or -1
    laplacian: sparse.csr_array  # (m, m) of arbitrage depth, times the scenario's factor
    component: Ints  # (m,) linked component
    linked: Bools  # (m,) whether any link is attached


class Quotes(NamedTuple):
    """Depth that market makers provide."""

    account: Ints  # (j,)
    market: Ints  # (j,)
    depth: Floats  # (j,) USD
    full_at: Floats  # (j,)
    withdrawn_at: Floats  # (j,)


class Nodes(NamedTuple):
    """Balance sheets of nodes."""

    buffer: Floats  # (n,) USD
    liabilities: Floats  # (n,) USD
    recovery_rate: Floats  # (n,)
    loss: Floats  # (n,) external, USD
    claims: sparse.csr_array  # (n, n) creditor by debtor, USD


class Inputs(NamedTuple):
    """Everything that the solver reads."""

    positions: Positions
    accounts: Accounts
    markets: Markets
    quotes: Quotes
    nodes: Nodes


def sign_of(side: Codes) -> Floats:
    """Return 1 for what an account owns or is long of, -1 for what it owes or is short of."""
    return np.where((side == DEBT) | (side == SHORT), -1.0, 1.0)


def sum_by(group: Ints, values: Floats, size: int) -> Floats:
    """Return the sum of the values in each of ``size`` groups, added in the order of the rows."""
    return np.bincount(group, values, minlength=size).astype(np.float64, copy=False)


def ratio(part: Floats | float, whole: Floats, empty: Floats | float = np.nan) -> Floats:
    """Return part over whole, and ``empty`` where the whole is not positive; shapes are broadcast.

    Examples
    --------
    >>> ratio(np.array([1.0, 1.0]), np.array([4.0, 0.0]), empty=0.0).tolist()
    [0.25, 0.0]
    """
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    found = np.array(np.broadcast_to(empty, shape), dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # runs that have not converged may hold anything
        return np.divide(part, whole, out=found, where=np.broadcast_to(np.greater(whole, 0.0), shape))
