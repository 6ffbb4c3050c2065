"""Deleveraging in rounds, through markets of finite depth: Cont and Schaanning (2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.problems import choice, positive
from contagion.clearing.results import OnFailure, checked, failure_choice
from contagion.errors import InputError
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Deleveraging", "cont_schaanning", "market_depth"]

Impact = Literal["exponential", "linear"]

_TIE = 1e-12
"""Share by which leverage may pass its limit without sales: rounding."""


@dataclass(frozen=True)
class Deleveraging(HandsOutCopies):
    """What deleveraging does to banks and prices, round by round.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns equity_before, first_loss (of the shock), fire_sale_loss, equity (what is left; negative
        where losses exceed it), sold (at the prices before each sale; all USD), leverage (assets over equity in the
        end; infinite without equity), insolvent, exhausted (above the limit with nothing left to sell).
    assets : DataFrame
        Index asset; columns depth, sold (USD), price (before the shock: 1), price_drop (by sales, share of the price
        after the shock).
    losses : DataFrame
        Index node, one column a round from 1: losses by sales, USD.
    deleveraging : DataFrame
        Likewise: share of its marketable assets that each node sells, 0 to 1.
    converged : bool
        Whether nobody has to sell any more.
    rounds : int
        Rounds with sales.
    residual : float
        What would be sold next, as a share of all marketable assets at first.
    """

    frame: pd.DataFrame
    assets: pd.DataFrame
    losses: pd.DataFrame
    deleveraging: pd.DataFrame
    converged: bool
    rounds: int
    residual: float

    @property
    def fire_sale_loss(self) -> pd.Series[float]:
        """Losses by sales, own and others', USD by node."""
        return self.frame["fire_sale_loss"]

    @property
    def equity(self) -> pd.Series[float]:
        """Equity in the end, USD by node."""
        return self.frame["equity"]

    @property
    def sold(self) -> pd.Series[float]:
        """Sales at the prices before them, USD by node."""
        return self.frame["sold"]

    @property
    def price(self) -> pd.Series[float]:
        """Prices in the end, by asset; 1 before the shock."""
        return self.assets["price"]


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


def market_depth(daily_volume: Any, volatility: Any, *, horizon: float = 20.0, scale: float = 0.4) -> pd.Series[float]:
    """Return the depth of each asset's market: D = c · ADV / σ · √τ, USD of sales per unit of relative price drop.

    Parameters
    ----------
    daily_volume : (k,) array, Series or mapping
        Average daily volume ADV, USD.
    volatility : likewise
        Daily volatility σ of returns, above zero.
    horizon : float
        Days τ over which sales are spread.
    scale : float
        c; near 0.4 in estimates of the square-root law.

    Returns
    -------
    Series
        Index asset.

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    Cont and Schaanning (2017), Fire sales, indirect contagion and systemic stress testing, Norges Bank Working Paper
    02/2017, section on market impact.

    Examples
    --------
    >>> round(market_depth([50.0], [0.02]).iloc[0], 2)  # 0.4 · 2500 · √20
    np.float64(4472.14)
    """
    problems = [*positive("horizon", horizon), *positive("scale", scale)]
    vectors = {"daily_volume": Vector(daily_volume, axis="asset"), "volatility": Vector(volatility, axis="asset")}
    table = read("market_depth", {}, vectors, problems)
    volume, spread = table.vectors["daily_volume"], table.vectors["volatility"]
    if (spread == 0.0).any() or (volume == 0.0).any():
        raise InputError("daily_volume and volatility must be above zero; leave out assets without", "market_depth")
    depth = scale * volume / spread * np.sqrt(horizon)
    return pd.Series(depth, index=table.labels["asset"].rename("asset"), name="depth")


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
        Lowest price B as a share of that before the shock, below 1 − shock.
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
        *_share("shortfall", shortfall),
        *positive("max_rounds", max_rounds, whole=True),
        *positive("tol", tol),
        *failure_choice(on_failure),
    ]
    vectors = {
        "equity": Vector(equity),
        "depth": Vector(depth, axis="asset"),
        "illiquid_assets": Vector(illiquid_assets, default=0.0),
        "illiquid_loss": Vector(illiquid_loss, default=0.0),
        "shock": Vector(shock, axis="asset", highest=1.0, default=0.0),
        "leverage_limit": Vector(leverage_limit, lowest=1.0),
        "floor": Vector(floor, axis="asset", highest=1.0),
    }
    if leverage_target is not None:
        vectors["leverage_target"] = Vector(leverage_target, lowest=1.0)
    matrices = {"holdings": Matrix(holdings, rows="node", columns="asset")}
    table = read("cont_schaanning", matrices, vectors, problems)
    values = table.vectors
    target = values.get("leverage_target", 0.95 * values["leverage_limit"])
    _consistent({**values, "leverage_target": target})
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


def _share(name: str, value: object) -> list[str]:
    if isinstance(value, (int, float, np.integer, np.floating)) and 0.0 <= float(value) <= 1.0:
        return []
    return [f"{name} is {value!r}; give a number from 0 to 1"]


def _consistent(values: dict[str, Floats]) -> None:
    """Raise if entries of two vectors do not go together."""
    found = []
    if (values["depth"] == 0.0).any():
        found.append("depth is zero for some asset; give depths above zero")
    if (values["illiquid_loss"] > values["illiquid_assets"]).any():
        found.append("illiquid_loss is larger than illiquid_assets for some node; it can take all of them at most")
    if (values["leverage_target"] > values["leverage_limit"]).any():
        found.append("leverage_target is above leverage_limit for some node; give at most the limit")
    if (values["floor"] >= 1.0 - values["shock"]).any():
        found.append("floor is not below 1 − shock for some asset; give a lower floor")
    if found:
        raise InputError(found, "cont_schaanning")


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
    wanted = (assets - rules.target * capital) / np.where(marketable > 0.0, marketable, 1.0)
    share = np.where(sells, np.clip(wanted, 0.0, 1.0), 0.0)
    return share, share * marketable


def _drop(sold: Floats, price: Floats, rules: _Rules) -> Floats:
    """Return the relative price drop Ψ of each asset."""
    room = 1.0 - rules.floor / price
    if rules.impact == "linear":
        return np.minimum(sold / rules.depth, room)
    drop: Floats = -room * np.expm1(-sold / ((1.0 - rules.floor) * rules.depth))
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
        "price_drop": 1.0 - state.price / start.price,
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
