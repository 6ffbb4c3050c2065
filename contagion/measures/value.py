"""What is locked on platforms, and what of it is there only once."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.kernels.inputs import COLLATERAL, DEBT, Bools, Floats, ratio, sum_by
from contagion.measures.standing import ALL, Standing, standing
from contagion.solution import Solution
from contagion.system import System

__all__ = ["value_locked"]

_WRAPPERS = ("liquid_staking", "wrapped")


def value_locked(subject: System | Solution, opening: bool = True) -> pd.DataFrame:
    """Return total value locked by platform, and what is left of it once nothing is counted twice.

    Dashboards add up deposits. A deposit that is a claim on another deposit (a staked, wrapped or issued token) counts
    the same value again, and so does one that was bought with borrowed money: it belongs to the lender.

    Parameters
    ----------
    subject : System or Solution
        What to count.
    opening : bool
        Of a Solution: at its opening (default), or what is left at its end, with what was liquidated held as cash.

    Returns
    -------
    DataFrame
        Index: platform, in the order of names, then "all platforms". At market prices, along each platform's routes.
        USD but for the last:

        - tvl: collateral and cash balances in accounts, as dashboards print it; no perp notional, no claims
        - debt: what accounts owe, in assets and in dollars
        - derivative: collateral in tokens that are claims themselves: ``assets.issuer`` is given, the kind is
          liquid_staking or wrapped, or a market of theirs is pegged to another asset's. The value behind them is
          counted where it is locked
        - borrowed_and_redeposited: of each account's other deposits, what its debt has paid for: min(debt, deposits).
          Money has no colour: this is all that can have been redeposited
        - value: tvl − derivative − borrowed_and_redeposited, what depositors own in plain assets
        - multiple: tvl / value, how often each dollar is shown

    Raises
    ------
    InputError
        If the subject is neither, or the system is not valid.

    Notes
    -----
    Excluding claims on other deposits is the total value redeemable of Luo, Wang, Feng, Qin and Livshits 2024,
    "Piercing the Veil of TVL: DeFi Reappraised"; netting what deposits owe is ours. Netting stops at an account's plain
    deposits: a debt that has paid for derivative tokens takes nothing from value, since those tokens are not in it. The
    deposits of lenders count where the tables have accounts for them; lenders that appear as claims have no deposits.

    Examples
    --------
    A loop of five rounds at 80 % shows 100,000 USD as 368,928, the sum of 100,000·0.8^k over k = 0 … 5:

    >>> from contagion import datasets
    >>> system, _ = datasets.load("loop_lending")
    >>> value_locked(system).loc["Lending pool"].round(2).to_dict()  # doctest: +NORMALIZE_WHITESPACE
    {'tvl': 368928.0, 'debt': 268928.0, 'derivative': 0.0, 'borrowed_and_redeposited': 268928.0, 'value': 100000.0,
     'multiple': 3.69}
    """
    at = standing(subject, opening, "value_locked")
    platforms, member = np.unique(at.inputs.accounts.platform, return_inverse=True)
    frame = pd.DataFrame(
        {name: _with_total(sum_by(member, values, platforms.size)) for name, values in _by_account(at).items()},
        index=pd.Index([*at.labels.nodes.take(platforms), ALL], name="platform", dtype="str"),
    )
    tvl, value = frame["tvl"].to_numpy(), frame["value"].to_numpy()
    empty = np.where(tvl > 0.0, np.inf, np.nan)
    return frame.assign(multiple=ratio(tvl, value, empty))


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def _by_account(at: Standing) -> dict[str, Floats]:
    """Return the columns in USD, by account (a,)."""
    positions, cash = at.inputs.positions, at.cash()
    price, claim = at.value(), _is_claim(at)
    owned, owed = positions.side == COLLATERAL, positions.side == DEBT
    derivative = at.kept * (positions.quantity @ (price * (owned & claim)))
    plain = at.kept * (positions.quantity @ (price * (owned & ~claim))) + np.maximum(cash, 0.0)
    debt = at.kept * (positions.quantity @ (price * owed)) + np.maximum(-cash, 0.0)
    looped = np.minimum(debt, plain)
    return {
        "tvl": derivative + plain,
        "debt": debt,
        "derivative": derivative,
        "borrowed_and_redeposited": looped,
        "value": plain - looped,
    }


def _with_total(values: Floats) -> Floats:
    return np.append(values, values.sum())


def _is_claim(at: Standing) -> Bools:
    """Return which term columns (k,) hold a token that is a claim on value locked elsewhere."""
    assets = at.system.assets.set_index("asset")
    markets = at.system.markets.set_index("market")["asset"]
    pegged = at.system.markets[at.system.markets["pegged_to"] != ""]
    anchors = markets.reindex(pegged["pegged_to"]).to_numpy(dtype=object)
    wrapped = set(pegged["asset"][pegged["asset"].to_numpy(dtype=object) != anchors])
    claim = (assets["issuer"] != "") | assets["kind"].isin(_WRAPPERS) | assets.index.isin(list(wrapped))
    listed = claim.reindex(at.labels.assets).to_numpy(dtype=np.bool_)
    found: Bools = listed[at.labels.columns["asset"].to_numpy()]
    return found
