"""One round of sales by banks that keep their leverage: Greenwood, Landier and Thesmar (2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.problems import positive
from contagion.clearing.results import Column
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["VulnerableBanks", "vulnerable_banks"]


@dataclass(frozen=True)
class VulnerableBanks(HandsOutCopies):
    """Who loses by the shock, who by others' sales, and whose sales do it.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns assets, equity (USD), leverage (debt over equity, B; 0 without debt), direct_loss (of the
        shock, USD), direct_vulnerability (the same over equity), sold (USD), linkage (what all banks would lose if
        this one sold a USD's worth of its portfolio, USD), systemic_loss (what its sales cost all banks, USD),
        systemicness (the same over the equity of all), indirect_loss (what all sales cost it, USD),
        indirect_vulnerability (over its equity).
    assets : DataFrame
        Index asset; columns holdings (USD), shock, sold (USD), price_drop (by sales, share), loss (by sales, USD).
    aggregate_vulnerability : float
        Losses by sales over the equity of all: the sum of systemicness, and of indirect losses over equity.
    direct_effect : float
        Losses of the shock over the equity of all.
    converged, rounds, residual
        Always True, 1 and 0: one round in closed form.
    """

    frame: pd.DataFrame
    assets: pd.DataFrame
    aggregate_vulnerability: float
    direct_effect: float
    converged: bool = True
    rounds: int = 1
    residual: float = 0.0

    systemicness = Column("What each bank's sales cost all banks, as a share of the equity of all.")
    indirect_vulnerability = Column("What all banks' sales cost each bank, as a share of its equity.")
    direct_vulnerability = Column("What the shock costs each bank, as a share of its equity.")


class _Portfolios(NamedTuple):
    holdings: csr_array
    total: Floats
    equity: Floats
    leverage: Floats
    shock: Floats
    impact: Floats


def vulnerable_banks(
    holdings: Any,
    equity: Any,
    shock: Any,
    price_impact: Any = 1e-13,
    *,
    leverage_cap: float | None = None,
    cap_sales: bool = False,
) -> VulnerableBanks:
    """Return aggregate vulnerability AV = 1ᵀ A M L Mᵀ B A M f / E, and what each bank adds to it and bears of it.

    A (n × n, diagonal) holds the assets of banks, M (n × k) the shares of assets in their portfolios, B (diagonal)
    debt over equity, L (k × k, diagonal) the relative price drop for each USD sold, f the relative price drops of the
    shock. Bank i loses the share rᵢ = (M f)ᵢ of its assets, and sells aᵢ bᵢ rᵢ in proportion to its portfolio, which
    restores its leverage; the sales lower prices by L Mᵀ B A M f, and everybody's holdings with them.

    Systemicness of bank i: S(i) = 1ᵀ A M L Mᵀ eᵢ · bᵢ aᵢ rᵢ / E, which sums to AV. Indirect vulnerability: IV(i) =
    aᵢ eᵢᵀ M L Mᵀ B A M f / equity of i. Direct vulnerability: aᵢ rᵢ / equity of i.

    Parameters
    ----------
    holdings : (n, k) array, sparse array or DataFrame
        A M: what each bank (row) has of each asset, USD. It stays sparse, and nothing n × n is made.
    equity : (n,) array, Series, mapping or float
        Equity, USD, above zero.
    shock : (k,) array, Series, mapping or float
        f: relative price drop of each asset, 0 to 1. Assets that are left out do not fall.
    price_impact : likewise
        L: relative price drop for each USD sold; 1e-13 as in the paper, 10 basis points for ten billion. Zero for cash.
    leverage_cap : float, optional
        Largest debt over equity that is used: banks with more are taken to aim for this.
    cap_sales : bool
        Whether a bank sells at most what it owes, as one does that has lost all equity. The matrix formulas have no
        such bound.

    Returns
    -------
    VulnerableBanks

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    Greenwood, Landier and Thesmar (2015), Vulnerable banks, Journal of Financial Economics 115, section 2.
    Duarte and Eisenbach (2021), Fire-sale spillovers and systemic risk, Journal of Finance 76.

    Examples
    --------
    Two banks with leverage 9; the first loses 1 of its 10, sells 9, at 0.1 % for each USD: prices fall by 0.9 %.

    >>> result = vulnerable_banks([[10, 0], [10, 0]], [1, 1], [0.1, 0], 1e-3)
    >>> result.frame["sold"].round(6).tolist(), float(result.assets["price_drop"].iloc[0].round(6))
    ([9.0, 9.0], 0.018)
    >>> round(result.aggregate_vulnerability, 6), result.systemicness.round(6).tolist()  # 20 · 0.018 / 2
    (0.18, [0.09, 0.09])
    """
    problems = [] if leverage_cap is None else positive("leverage_cap", leverage_cap)
    table = read(
        "vulnerable_banks",
        {"holdings": Matrix(holdings, rows="node", columns="asset")},
        {
            "equity": Vector(equity, zero="leverage is infinite, leave them out"),
            "shock": Vector(shock, axis="asset", highest=1.0, default=0.0),
            "price_impact": Vector(price_impact, axis="asset"),
        },
        problems,
    )
    matrix, values = table.matrices["holdings"], table.vectors
    total = np.asarray(matrix.sum(axis=1), dtype=np.float64).reshape(-1)
    labels = table.labels["node"].rename("node"), table.labels["asset"].rename("asset")
    leverage = np.maximum(total - values["equity"], 0.0) / values["equity"]
    leverage = leverage if leverage_cap is None else np.minimum(leverage, leverage_cap)
    given = _Portfolios(matrix, total, values["equity"], leverage, values["shock"], values["price_impact"])
    return _result(given, labels, cap_sales=cap_sales)


def _result(given: _Portfolios, labels: tuple[pd.Index[Any], pd.Index[Any]], *, cap_sales: bool) -> VulnerableBanks:
    """Return the tables, by products with the holdings only."""
    direct = given.holdings @ given.shock
    sold = given.leverage * direct
    if cap_sales:
        sold = np.minimum(sold, np.maximum(given.total - given.equity, 0.0))
    scale = np.divide(1.0, given.total, out=np.zeros_like(given.total), where=given.total > 0.0)
    asset_sold = (sold * scale) @ given.holdings
    by_asset = np.asarray(given.holdings.sum(axis=0), dtype=np.float64).reshape(-1)
    price_drop = given.impact * asset_sold
    linkage = scale * (given.holdings @ (given.impact * by_asset))
    indirect = given.holdings @ price_drop
    everything = max(float(given.equity.sum()), 1e-300)
    columns = {
        "assets": given.total,
        "equity": given.equity,
        "leverage": given.leverage,
        "direct_loss": direct,
        "direct_vulnerability": direct / given.equity,
        "sold": sold,
        "linkage": linkage,
        "systemic_loss": linkage * sold,
        "systemicness": linkage * sold / everything,
        "indirect_loss": indirect,
        "indirect_vulnerability": indirect / given.equity,
    }
    assets = {
        "holdings": by_asset,
        "shock": given.shock,
        "sold": asset_sold,
        "price_drop": price_drop,
        "loss": by_asset * price_drop,
    }
    return VulnerableBanks(
        pd.DataFrame(columns, index=labels[0]),
        pd.DataFrame(assets, index=labels[1]),
        float(indirect.sum()) / everything,
        float(direct.sum()) / everything,
    )
