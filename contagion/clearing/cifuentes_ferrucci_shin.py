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
from contagion.clearing.results import Column, OnFailure, checked, failure_choice
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
        Of a unit of the illiquid asset after sales, 1 before.
    settlement_price : float
        What sellers get for a unit: ``price``, or the average on the way there.
    sold : float
        Units that are sold in all.
    converged : bool
    rounds : int
        Prices that were tried.
    residual : float
        Gap of the equations of the two prices.
    """

    frame: pd.DataFrame
    price: float
    settlement_price: float
    sold: float
    converged: bool
    rounds: int
    residual: float

    payments = Column("Payments on all debts, USD by node.")
    equity = Column("Equity at the price after sales, USD by node; zero in default.")
    illiquid_sold = Column("Units of the illiquid asset sold, by node.")
    defaulted = Column("Nodes that do not pay in full.")


class _Banks(NamedTuple):
    given: Obligations
    liquid: Floats
    illiquid: Floats
    required: Floats
    impact: float
    greatest: bool
    average: bool


class _Prices(NamedTuple):
    """Of a unit after sales, and what sellers get for it."""

    last: float
    settled: float


class _State(NamedTuple):
    """What holds at some prices: payments, risky assets before sales, net worth, what is sold, and the prices then."""

    at: _Prices
    paid: Paid
    given: Obligations
    risky: Floats
    worth: Floats
    liquid_sold: Floats
    illiquid_sold: Floats
    after: _Prices

    @property
    def gap(self) -> float:
        return max(abs(after - at) for after, at in zip(self.after, self.at, strict=True))


def cifuentes_ferrucci_shin(
    liabilities: Any,
    liquid_assets: Any,
    illiquid_assets: Any,
    price_impact: float,
    capital_ratio: Any,
    external_liabilities: Any = None,
    *,
    settlement: Literal["last", "average"] = "last",
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

    In the paper, all sellers get the price after all sales. With ``settlement="average"`` they get the mean price on
    the way there, p̄ = (1 − exp(−α S)) / (α S) for sales S in all, and what they keep is marked at p: net worth is
    c + p̄ s + p (e − s) + R − x̄, and who fails has sold all, so that x = min(x̄, c + p̄ e + Πᵀx).

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
    settlement : {"last", "average"}
        What sellers get: the price after sales, as in the paper, or the average price (volume-weighted).
    solution : {"greatest", "least"}
        The best fixed point, found from a price of 1, or the worst, found from that of selling everything.
    tol : float
        Largest change of either price in the last round.
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
    Average prices: Banerjee and Feinstein (2021), Price mediated contagion through capital ratio requirements with VWAP
    liquidation prices, European Journal of Operational Research 295.

    Examples
    --------
    A bank with assets of 100 and debts of 90 has to hold 12 %: 10 of net worth allow 83.3, so it sells 16.7.

    >>> sale = cifuentes_ferrucci_shin([[0]], 0, 100, 0.0, 0.12, external_liabilities=90)
    >>> sale.price, round(sale.sold, 4), round(float(sale.frame["capital_ratio"].iloc[0]), 4)
    (1.0, 16.6667, 0.12)

    Its sales lower the price of what it keeps, and it has to sell more.

    >>> round(cifuentes_ferrucci_shin([[0]], 0, 100, 1e-4, 0.12, external_liabilities=90).sold, 4)
    18.0193

    If it gets the average price, it loses only half as much on what it sells.

    >>> round(cifuentes_ferrucci_shin([[0]], 0, 100, 1e-4, 0.12, external_liabilities=90, settlement="average").sold, 4)
    17.8753
    """
    problems = [
        *positive("price_impact", price_impact, zero=True),
        *choice("settlement", settlement, ("last", "average")),
        *choice("solution", solution, ("greatest", "least")),
        *positive("tol", tol),
        *positive("max_rounds", max_rounds, whole=True),
        *failure_choice(on_failure),
    ]
    vectors = {
        "liquid_assets": Vector(liquid_assets),
        "illiquid_assets": Vector(illiquid_assets),
        "capital_ratio": Vector(capital_ratio, highest=1.0, zero="give a share above zero"),
        "external_liabilities": Vector(external_liabilities, default=0.0),
    }
    table = read("cifuentes_ferrucci_shin", {"liabilities": Matrix(liabilities)}, vectors, problems)
    liquid, illiquid, required, outside = table.vectors.values()
    given = Obligations(*obligations(table.matrices["liabilities"], outside), liquid)
    way = (float(price_impact), solution == "greatest", settlement == "average")
    banks = _Banks(given, liquid, illiquid, required, *way)
    state, rounds = _settled(banks, tol, max_rounds)
    frame = by_node(_columns(state, outside, banks), table.labels["node"])
    result = FireSale(frame, *state.at, float(state.illiquid_sold.sum()), state.gap <= tol, rounds, state.gap)
    return checked(result, "cifuentes_ferrucci_shin", on_failure)


def _settled(banks: _Banks, tol: float, max_rounds: int) -> tuple[_State, int]:
    """Return what holds at the first prices that sales no longer change, and how many were tried."""
    state = _at(_prices(0.0 if banks.greatest else float(banks.illiquid.sum()), banks), banks)
    rounds = 1
    while state.gap > tol and rounds < max_rounds:
        state = _at(state.after, banks)
        rounds += 1
    return state, rounds


def _prices(sold: float, banks: _Banks) -> _Prices:
    """Return the price after so many units are sold, and what sellers get."""
    fall = banks.impact * sold
    last = float(np.exp(-fall))
    return _Prices(last, float(-np.expm1(-fall) / fall) if banks.average and fall > 0.0 else last)


def _at(prices: _Prices, banks: _Banks) -> _State:
    """Return payments and sales at some prices, and the prices that these sales make.

    Whoever fails has sold all, and whoever does not pays in full whatever it sells: so payments are those of banks that
    get the settlement price for all that they have.
    """
    given = banks.given._replace(assets=banks.liquid + prices.settled * banks.illiquid)
    paid = greatest(given) if banks.greatest else least(given)
    received = given.shares @ paid.payments
    risky = banks.liquid + prices.last * banks.illiquid + received
    worth = risky - given.owed
    liquid_sold = np.minimum(banks.liquid, np.maximum(risky - np.maximum(worth, 0.0) / banks.required, 0.0))
    # each unit sold makes room for r·p of risky assets, and adds what it brings beyond p to net worth
    missing = np.maximum(banks.required * (risky - liquid_sold) - worth, 0.0)
    each = banks.required * prices.last + (prices.settled - prices.last)
    everything = np.where(missing > 0.0, banks.illiquid, 0.0)
    illiquid_sold = np.divide(missing, each, out=everything, where=missing < each * banks.illiquid)
    after = _prices(float(illiquid_sold.sum()), banks)
    return _State(prices, paid, given, risky, worth, liquid_sold, illiquid_sold, after)


def _columns(state: _State, outside: Floats, banks: _Banks) -> dict[str, Floats]:
    columns = pari_passu(state.given, state.paid, outside)
    rounds = columns.pop("default_round")
    gained = (state.at.settled - state.at.last) * state.illiquid_sold
    columns["equity"] = np.where(rounds > 0, 0.0, np.maximum(state.worth + gained, 0.0))
    left = state.risky - state.liquid_sold - state.at.last * state.illiquid_sold
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
