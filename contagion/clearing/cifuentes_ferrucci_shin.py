"""Clearing and the price of one illiquid asset together: Cifuentes, Ferrucci and Shin (2005)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.clearing_vector import by_node, pari_passu
from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.obligations import Obligations, Paid, greatest, least, obligations
from contagion.clearing.problems import choice, positive
from contagion.clearing.results import OnFailure, checked, failure_choice
from contagion.errors import InputError
from contagion.frozen import HandsOutCopies

__all__ = ["FireSale", "cifuentes_ferrucci_shin"]

_HELD = 1e-9
"""Share of its assets by which a node may exceed what its capital allows and still count as within the requirement."""


@dataclass(frozen=True)
class FireSale(HandsOutCopies):
    """Payments, sales, and the price at which both fit.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns owed, payments, external_payments, received, equity (USD; zero in default), recovery_rate,
        liquid_sold (USD), illiquid_sold (units), capital_ratio (after sales; infinite where no risky assets are left),
        breach (the requirement is not met though all is sold), defaulted, default_round.
    price : float
        Of a unit of the illiquid asset, 1 before sales.
    sold : float
        Units that are sold in all.
    converged : bool
    rounds : int
        Prices that were tried.
    residual : float
        Gap of the equation of the price.
    """

    frame: pd.DataFrame
    price: float
    sold: float
    converged: bool
    rounds: int
    residual: float

    @property
    def payments(self) -> pd.Series[float]:
        """Payments on all debts, USD by node."""
        return self.frame["payments"]

    @property
    def equity(self) -> pd.Series[float]:
        """Equity at the price after sales, USD by node; zero in default."""
        return self.frame["equity"]

    @property
    def illiquid_sold(self) -> pd.Series[float]:
        """Units of the illiquid asset sold, by node."""
        return self.frame["illiquid_sold"]

    @property
    def defaulted(self) -> pd.Series[bool]:
        """Nodes that do not pay in full."""
        return self.frame["defaulted"]


class _Banks(NamedTuple):
    given: Obligations
    liquid: Floats
    illiquid: Floats
    required: Floats
    impact: float
    greatest: bool


class _State(NamedTuple):
    """What holds at a price: payments, risky assets before sales, net worth, what is sold, and the price after that."""

    at: float
    paid: Paid
    given: Obligations
    risky: Floats
    worth: Floats
    liquid_sold: Floats
    illiquid_sold: Floats
    price: float


def cifuentes_ferrucci_shin(
    liabilities: Any,
    liquid_assets: Any,
    illiquid_assets: Any,
    price_impact: float,
    capital_ratio: Any,
    external_liabilities: Any = None,
    *,
    solution: Literal["greatest", "least"] = "greatest",
    tol: float = 1e-13,
    max_rounds: int = 10_000,
    on_failure: OnFailure = "raise",
) -> FireSale:
    """Return the greatest (or least) price and payments: p = exp(−α Σᵢ sᵢ(p, x)), x = min(x̄, c + p e + Πᵀx).

    A node with liquid assets c, illiquid assets e and claims R on others has net worth c + p e + R − x̄. This must be
    at least r of its risky assets after sales, (c − t) + p (e − s) + R; cash counts as riskless. It sells liquid
    assets t first, at a price of one, then illiquid ones s at p, no more than needed, and all of them if its net worth
    is not enough. Sales fall with the price and with payments, so there are a greatest and a least fixed point.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD.
    liquid_assets : (n,) array, Series, mapping or float
        Liquid assets, USD.
    illiquid_assets : likewise
        Illiquid assets, units (USD at the price of 1 before sales).
    price_impact : float
        α: the log price falls by this much for each unit sold.
    capital_ratio : (n,) array, Series, mapping or float
        Required net worth as a share of risky assets, above 0, at most 1.
    external_liabilities : likewise, optional
        Debts to creditors outside of the network, USD, that rank with the others; none by default.
    solution : {"greatest", "least"}
        The best fixed point, found from a price of 1, or the worst, found from that of selling everything.
    tol : float
        Largest change of the price in the last round.
    max_rounds : int
    on_failure : {"raise", "return"}

    Returns
    -------
    FireSale

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If ``max_rounds`` are not enough.

    Notes
    -----
    Cifuentes, Ferrucci and Shin (2005), Liquidity risk and contagion, Journal of the European Economic Association 3,
    and Bank of England Working Paper 264: capital requirement, sales and exponential inverse demand of section 2.

    Examples
    --------
    A bank with assets of 100 and debts of 90 has to hold 12 %: 10 of net worth allow 83.3, so it sells 16.7.

    >>> sale = cifuentes_ferrucci_shin([[0]], 0, 100, 0.0, 0.12, external_liabilities=90)
    >>> sale.price, round(sale.sold, 4), round(float(sale.frame["capital_ratio"].iloc[0]), 4)
    (1.0, 16.6667, 0.12)

    Its sales lower the price of what it keeps, and it has to sell more.

    >>> round(cifuentes_ferrucci_shin([[0]], 0, 100, 1e-4, 0.12, external_liabilities=90).sold, 4)
    18.0193
    """
    problems = [
        *([] if price_impact == 0 else positive("price_impact", price_impact)),
        *choice("solution", solution, ("greatest", "least")),
        *positive("tol", tol),
        *positive("max_rounds", max_rounds, whole=True),
        *failure_choice(on_failure),
    ]
    vectors = {
        "liquid_assets": Vector(liquid_assets),
        "illiquid_assets": Vector(illiquid_assets),
        "capital_ratio": Vector(capital_ratio, highest=1.0),
        "external_liabilities": Vector(external_liabilities, default=0.0),
    }
    table = read("cifuentes_ferrucci_shin", {"liabilities": Matrix(liabilities)}, vectors, problems)
    liquid, illiquid, required, outside = table.vectors.values()
    if (required == 0.0).any():
        raise InputError("capital_ratio is zero; give a share above zero", "cifuentes_ferrucci_shin")
    given = Obligations(*obligations(table.matrices["liabilities"], outside), liquid)
    banks = _Banks(given, liquid, illiquid, required, float(price_impact), solution == "greatest")
    state, rounds = _settled(banks, tol, max_rounds)
    residual = abs(state.price - state.at)
    frame = by_node(_columns(state, outside, banks), table.labels["node"])
    result = FireSale(frame, state.at, float(state.illiquid_sold.sum()), residual <= tol, rounds, residual)
    return checked(result, "cifuentes_ferrucci_shin", on_failure)


def _settled(banks: _Banks, tol: float, max_rounds: int) -> tuple[_State, int]:
    """Return what holds at the first price that sales no longer change, and how many were tried."""
    state = _at(1.0 if banks.greatest else float(np.exp(-banks.impact * banks.illiquid.sum())), banks)
    rounds = 1
    while abs(state.price - state.at) > tol and rounds < max_rounds:
        state = _at(state.price, banks)
        rounds += 1
    return state, rounds


def _at(price: float, banks: _Banks) -> _State:
    """Return payments and sales at a price, and the price that these sales make."""
    given = banks.given._replace(assets=banks.liquid + price * banks.illiquid)
    paid = greatest(given) if banks.greatest else least(given)
    risky = given.assets + given.shares @ paid.payments
    worth = risky - given.owed
    excess = np.maximum(risky - np.maximum(worth, 0.0) / banks.required, 0.0)
    liquid_sold = np.minimum(banks.liquid, excess)
    illiquid_sold = np.minimum(banks.illiquid, (excess - liquid_sold) / price)
    after = float(np.exp(-banks.impact * illiquid_sold.sum()))
    return _State(price, paid, given, risky, worth, liquid_sold, illiquid_sold, after)


def _columns(state: _State, outside: Floats, banks: _Banks) -> dict[str, Floats]:
    columns = pari_passu(state.given, state.paid, outside)
    rounds = columns.pop("default_round")
    left = state.risky - state.liquid_sold - state.at * state.illiquid_sold
    left = np.where(left <= _HELD * state.risky, 0.0, left)
    ratio = np.divide(columns["equity"], left, out=np.where(columns["equity"] > 0.0, np.inf, 0.0), where=left > 0.0)
    return {
        **columns,
        "liquid_sold": state.liquid_sold,
        "illiquid_sold": state.illiquid_sold,
        "capital_ratio": ratio,
        "breach": (left > 0.0) & (ratio < banks.required * (1.0 - _HELD)),
        "default_round": rounds,
    }
