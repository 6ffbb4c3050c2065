"""Deleveraging in rounds, through markets of finite depth: Cont and Schaanning (2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.deleveraging import Deleveraging
from contagion.clearing.network import Floats, Matrix, Table, Vector, read
from contagion.clearing.problems import choice, positive, share
from contagion.clearing.results import OnFailure, checked, failure_choice

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["cont_schaanning"]

Impact = Literal["exponential", "linear"]

_TIE = 1e-12
"""Share by which leverage may pass its limit without sales: rounding."""


class _Rules(NamedTuple):
    depth: Floats
    floor: Floats
    limit: Floats
    target: Floats
    impact: str
    shortfall: float
    insolvent_sell: bool


class _State(NamedTuple):
    """Shares of their holdings that banks have kept, prices, equity and illiquid assets."""

    kept: Floats
    price: Floats
    equity: Floats
    illiquid: Floats


class _Round(NamedTuple):
    share: Floats
    loss: Floats
    sold: Floats
    asset_sold: Floats


def cont_schaanning(
    holdings: Any,
    equity: Any,
    depth: Any,
    *,
    illiquid_assets: Any = None,
    illiquid_loss: Any = None,
    shock: Any = None,
    leverage_limit: Any = 33.0,
    leverage_target: Any = None,
    impact: Impact = "exponential",
    floor: Any = 0.5,
    shortfall: float = 0.5,
    insolvent_sell: bool = True,
    max_rounds: int = 1_000,
    tol: float = 1e-12,
    on_failure: OnFailure = "raise",
) -> Deleveraging:
    """Return losses if banks whose leverage passes a limit sell in proportion to what they hold, until none does.

    In each round, bank i with marketable assets Πᵢ, illiquid assets Iᵢ and equity Cᵢ whose leverage (Πᵢ + Iᵢ) / Cᵢ is
    above the limit sells the share Γᵢ = min(1, (Πᵢ + Iᵢ − target · Cᵢ) / Πᵢ) of each of its assets. Sales q of an asset
    lower its price S by the share Ψ(q) = (1 − B/S) (1 − exp(−q / ((1 − B) D))), that is by q/D for small sales and
    never below the floor B; or by q/D (linear). Each bank loses (1 − (1 − α) Γᵢ) Σ Πᵢ Ψ: on what it keeps, and a part α
    on what it sells.

    Parameters
    ----------
    holdings : (n, k) array, sparse array or DataFrame
        Marketable assets, USD before the shock; banks are rows.
    equity : (n,) array, Series, mapping or float
        Equity before the shock, USD.
    depth : (k,) array, Series, mapping or float
        Market depth D, USD of sales per unit of relative price drop (`market_depth`), above zero.
    illiquid_assets : (n,) array, Series, mapping or float, optional
        Assets that cannot be sold, USD before the shock; none by default.
    illiquid_loss : likewise, optional
        What the shock takes of them, USD, at most all of them.
    shock : (k,) array, Series, mapping or float, optional
        First relative price drop of marketable assets, 0 to 1; none by default.
    leverage_limit : (n,) array, Series, mapping or float
        Assets over equity above which banks sell; 33 is a leverage ratio of 3 % (Basel III).
    leverage_target : likewise, optional
        Leverage to which they sell, at most the limit; 95 % of it by default.
    impact : {"exponential", "linear"}
    floor : (k,) array, Series, mapping or float
        Lowest price B as a share of that before the shock, at most 1 − shock; assets that are there do not fall.
    shortfall : float
        α, the part of the price drop of a round that its own sales suffer, 0 to 1: 0 sells at the price before, 1 at
        the price after, a half at the mean price.
    insolvent_sell : bool
        Whether banks without equity sell all that they hold (as in the paper), or stay out of the market.
    max_rounds : int
    tol : float
        Sales that may be left, as a share of all marketable assets at first.
    on_failure : {"raise", "return"}

    Returns
    -------
    Deleveraging

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If banks still have to sell after ``max_rounds``.

    Notes
    -----
    Cont and Schaanning (2017), Fire sales, indirect contagion and systemic stress testing, Norges Bank Working Paper
    02/2017; Schaanning (2016), Fire sales and systemic risk in financial networks, thesis, Imperial College London.

    Examples
    --------
    The first bank loses 2 of 4 of equity on illiquid assets; at leverage 49 it sells (98 − 31.635 · 2) / 90 = 38.6 %.

    >>> result = cont_schaanning([[90], [70]], [4, 4.5], 4472.14, illiquid_assets=[10, 20], illiquid_loss=[2, 0],
    ...                          leverage_limit=33.3)
    >>> result.deleveraging[1].round(4).tolist(), result.losses[1].round(4).tolist()
    ([0.3859, 0.0], [0.5597, 0.5394])
    """
    problems = [
        *choice("impact", impact, ("exponential", "linear")),
        *share("shortfall", shortfall),
        *positive("max_rounds", max_rounds, whole=True),
        *positive("tol", tol),
        *failure_choice(on_failure),
    ]
    vectors = {
        "equity": Vector(equity),
        "depth": Vector(depth, axis="asset", zero="give depths above zero"),
        "illiquid_assets": Vector(illiquid_assets, default=0.0),
        "illiquid_loss": Vector(illiquid_loss, default=0.0),
        "shock": Vector(shock, axis="asset", highest=1.0, default=0.0),
        "leverage_limit": Vector(leverage_limit, lowest=1.0),
        "floor": Vector(floor, axis="asset", highest=1.0),
    }
    if leverage_target is not None:
        vectors["leverage_target"] = Vector(leverage_target, lowest=1.0)
    matrices = {"holdings": Matrix(holdings, rows="node", columns="asset")}
    table = read("cont_schaanning", matrices, vectors, problems, _between)
    values = table.vectors
    target = values.get("leverage_target", 0.95 * values["leverage_limit"])
    matrix = table.matrices["holdings"]
    rules = _Rules(
        values["depth"], values["floor"], values["leverage_limit"], target, impact, shortfall, insolvent_sell
    )
    first = matrix @ values["shock"] + values["illiquid_loss"]
    start = _State(
        np.ones(first.size),
        1.0 - values["shock"],
        values["equity"] - first,
        values["illiquid_assets"] - values["illiquid_loss"],
    )
    state, done, residual = _rounds(matrix, start, rules, max_rounds, tol * max(float(matrix.sum()), 1e-300))
    labels = table.labels["node"].rename("node"), table.labels["asset"].rename("asset")
    result = _result(matrix, (start, state), rules, done, (values["equity"], first, residual, tol), labels)
    return checked(result, "cont_schaanning", on_failure)


def _between(table: Table) -> list[str]:
    """Return which entries of two vectors do not go together."""
    values, found = table.vectors, []
    if (values["illiquid_loss"] > values["illiquid_assets"]).any():
        found.append("illiquid_loss is larger than illiquid_assets for some node; it can take all of them at most")
    if (values.get("leverage_target", values["leverage_limit"]) > values["leverage_limit"]).any():
        found.append("leverage_target is above leverage_limit for some node; give at most the limit")
    if (values["floor"] > 1.0 - values["shock"]).any():
        found.append("floor is above 1 − shock for some asset; give a lower floor")
    return found


def _rounds(
    holdings: csr_array, state: _State, rules: _Rules, max_rounds: int, enough: float
) -> tuple[_State, list[_Round], float]:
    """Return the state after the last round, the rounds with sales, and what would be sold next, USD."""
    done: list[_Round] = []
    while True:
        share, sold = _sales(holdings, state, rules)
        left = float(sold.sum())
        if left <= enough or len(done) == max_rounds:
            return state, done, left
        asset_sold = ((share * state.kept) @ holdings) * state.price
        drop = _drop(asset_sold, state.price, rules)
        loss = (1.0 - (1.0 - rules.shortfall) * share) * state.kept * (holdings @ (state.price * drop))
        done.append(_Round(share, loss, sold, asset_sold))
        state = _State(state.kept * (1.0 - share), state.price * (1.0 - drop), state.equity - loss, state.illiquid)


def _sales(holdings: csr_array, state: _State, rules: _Rules) -> tuple[Floats, Floats]:
    """Return the share of its holdings that each bank sells next, and what that is worth, USD."""
    marketable = state.kept * (holdings @ state.price)
    assets, capital = marketable + state.illiquid, np.maximum(state.equity, 0.0)
    sells = (assets > rules.limit * capital * (1.0 + _TIE)) & (marketable > 0.0)
    if not rules.insolvent_sell:
        sells &= state.equity > 0.0
    wanted = np.clip(assets - rules.target * capital, 0.0, marketable)
    part = np.divide(wanted, marketable, out=np.zeros_like(wanted), where=sells)
    return part, part * marketable


def _drop(sold: Floats, price: Floats, rules: _Rules) -> Floats:
    """Return the relative price drop Ψ of each asset."""
    left = price - rules.floor  # at the floor, which may be zero, nothing is left to fall
    room = np.divide(left, price, out=np.zeros_like(price), where=left > 0.0)
    scale = rules.depth if rules.impact == "linear" else (1.0 - rules.floor) * rules.depth
    with np.errstate(over="ignore"):  # more than any market takes: the price falls to its floor
        reach = np.divide(sold, scale, out=np.zeros_like(sold), where=left > 0.0)
    drop: Floats = np.minimum(reach, room) if rules.impact == "linear" else -room * np.expm1(-reach)
    return drop


def _result(
    holdings: csr_array,
    states: tuple[_State, _State],
    rules: _Rules,
    done: list[_Round],
    rest: tuple[Floats, Floats, float, float],
    labels: tuple[pd.Index[Any], pd.Index[Any]],
) -> Deleveraging:
    """Return the tables of the rounds."""
    start, state = states
    equity, first, left, tol = rest
    losses = np.array([one.loss for one in done]).reshape(len(done), equity.size).T
    shares = np.array([one.share for one in done]).reshape(len(done), equity.size).T
    turns = pd.RangeIndex(1, len(done) + 1, name="round")
    marketable = state.kept * (holdings @ state.price)
    assets, capital = marketable + state.illiquid, np.maximum(state.equity, 0.0)
    leverage = np.divide(assets, capital, out=np.where(assets > 0.0, np.inf, 0.0), where=capital > 0.0)
    columns = {
        "equity_before": equity,
        "first_loss": first,
        "fire_sale_loss": losses.sum(axis=1),
        "equity": state.equity,
        "sold": sum((one.sold for one in done), start=np.zeros(equity.size)),
        "leverage": leverage,
        "insolvent": state.equity <= 0.0,
        "exhausted": (leverage > rules.limit * (1.0 + _TIE)) & (marketable == 0.0),
    }
    by_asset = {
        "depth": rules.depth,
        "sold": sum((one.asset_sold for one in done), start=np.zeros(rules.depth.size)),
        "price": state.price,
        "price_drop": 1.0 - np.divide(state.price, start.price, out=np.ones_like(state.price), where=start.price > 0.0),
    }
    residual = left / max(float(holdings.sum()), 1e-300)
    return Deleveraging(
        pd.DataFrame(columns, index=labels[0]),
        pd.DataFrame(by_asset, index=labels[1]),
        pd.DataFrame(losses, index=labels[0], columns=turns),
        pd.DataFrame(shares, index=labels[0], columns=turns),
        residual <= tol,
        len(done),
        residual,
    )
