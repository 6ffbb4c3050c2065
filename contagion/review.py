"""What is allowed in a system but may not be meant, one function a warning.

Everything here passes `contagion.validate`, so it is shown, not raised.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion import schema
from contagion.arrays import lower
from contagion.kernels.accounts import lines, surplus
from contagion.kernels.inputs import NO_CALL, sum_by
from contagion.scenario import Scenario
from contagion.system import System
from contagion.validate import extra_columns, pegs, validate

__all__ = ["review", "warnings"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROUNDING = 1e-9

_COLUMNS = {"table": "str", "row": "Int64", "name": "str", "warning": "str", "value": "float64", "text": "str"}


def review(system: System) -> pd.DataFrame:
    """Return the warnings about a system.

    Parameters
    ----------
    system : System
        Tables; checked first.

    Returns
    -------
    DataFrame
        ``table``, ``row`` (from 1, the first row below the header; missing for a whole column), ``name``, ``warning``
        (a short code to filter by), ``value`` (what the text speaks of, where it is a number) and ``text``.

    Raises
    ------
    InputError
        If the system is not valid.

    Examples
    --------
    >>> system = System(
    ...     nodes=pd.DataFrame({"node": ["Binance"]}),
    ...     assets=pd.DataFrame({"asset": ["BTC"]}),
    ...     markets=pd.DataFrame({"market": ["Binance:BTC"], "venue": "Binance", "asset": "BTC", "price": 1e5}),
    ... )
    >>> review(system)[["table", "row", "name", "warning"]].values.tolist()
    [['markets', 1, 'Binance:BTC', 'no_depth']]
    """
    validate(system)
    return warnings(system)


def warnings(system: System) -> pd.DataFrame:
    """Return the warnings about a system that `contagion.validate` has passed; see `review`."""
    empty = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in _COLUMNS.items()})
    return pd.concat([empty, *(warn(system) for warn in WARNINGS)], ignore_index=True).astype(_COLUMNS)


def warn_opening(system: System) -> pd.DataFrame:
    """Return accounts that are liquidated or called at opening prices; ``value`` is the surplus in USD."""
    inputs, labels = lower(system, Scenario())
    given = inputs.accounts
    price = inputs.markets.price
    at = lines(inputs.positions, given, price, price, np.ones(len(labels.nodes)))
    calls = np.where(given.call_policy != NO_CALL, given.call_level, np.nan)
    found = []
    broke = _named(labels.accounts.take(np.flatnonzero(at.equity <= 0.0)))
    for warning, level, text in (
        ("liquidated_at_opening", given.liquidation_level, "below its liquidation level before anything has happened"),
        ("called_at_opening", calls, "below its call level before anything has happened"),
    ):
        margin = surplus(given.margin_rule, at.weighted, at.debt, at.maintenance, level)
        low = np.flatnonzero(margin < 0.0)
        low = low[np.argsort(labels.account_rows[low])]
        names = labels.accounts.take(low).to_series()
        found.append(_warn("accounts", labels.account_rows[low], names, warning, text, margin[low]))
    return pd.concat([*found, *_acting_at_once(system, broke)], ignore_index=True)


def warn_markets(system: System) -> pd.DataFrame:
    """Return markets without depth, quotes or links: any net sale takes them to their floor."""
    markets, quotes, links = system.markets, system.quotes, system.arbitrage
    linked = links["depth"] > 0.0
    used = [
        quotes.loc[quotes["depth"] > 0.0, "market"],
        links.loc[linked, "market_a"],
        links.loc[linked, "market_b"],
    ]
    codes = pd.factorize(pd.concat([markets["market"], *used], ignore_index=True))[0]
    has = np.zeros(codes.max(initial=-1) + 1, dtype=np.bool_)
    has[codes[len(markets) :]] = True
    bare = (markets["depth"] == 0.0) & ~has[codes[: len(markets)]]
    return _of_rows(system, "markets", bare, "no_depth", "no depth: any net sale takes it to its floor")


def warn_links(system: System) -> pd.DataFrame:
    """Return links between markets whose prices differ by more than a factor 2; ``value`` is that factor."""
    markets = pd.Index(system.markets["market"])
    price = system.markets["price"].to_numpy(dtype=np.float64)
    a, b = (price[markets.get_indexer(pd.Index(system.arbitrage[end]))] for end in ("market_a", "market_b"))
    factor = np.maximum(a / b, b / a)
    text = "links two markets whose prices differ by more than a factor 2: check the prices and the units"
    return _of_rows(system, "arbitrage", pd.Series(factor > 2.0), "linked_prices_differ", text, factor)


def warn_assets(system: System) -> pd.DataFrame:
    """Return assets that are held but trade nowhere; ``value`` is the number of positions."""
    held = system.positions["asset"].value_counts()
    assets = system.assets
    bare = assets["asset"].isin(held.index) & ~assets["asset"].isin(system.markets["asset"])
    count = assets["asset"].map(held).to_numpy().astype(np.float64)
    text = "held but without a market: it is worth nothing when marked or sold"
    return _of_rows(system, "assets", bare, "no_market", text, count)


def warn_terms(system: System) -> pd.DataFrame:
    """Return what is held without terms; ``row`` is the first such position, ``value`` their number.

    Debts need none, and a position with its own weight (a perp with its own maintenance) has them.
    """
    keys, rows, counts = _without_terms(system)
    default = system.terms[system.terms["mode"] == ""]
    in_default = _key(keys["platform"], keys["asset"]).isin(_key(default["platform"], default["asset"]))
    elsewhere = in_default & (keys["mode"] != "").to_numpy(dtype=np.bool_)
    names = keys["platform"] + " / " + keys["mode"].replace("", "default mode") + " / " + keys["asset"]
    found = []
    for bad, warning, text in (
        (elsewhere, "no_terms_in_mode", "no terms in this mode, though the default mode has them"),
        (~elsewhere, "no_terms", "no terms: collateral counts for nothing, a perp asks for no margin"),
    ):
        found.append(_warn("positions", rows[bad], names[bad], warning, text, counts[bad]))
    return pd.concat(found, ignore_index=True)


def warn_columns(system: System) -> pd.DataFrame:
    """Return columns that the schema does not know."""
    found = [
        _warn(table, None, pd.Series([name], dtype="str"), "extra_column", "not in the schema: ignored", np.nan)
        for table, name, _ in extra_columns(system)
    ]
    return pd.concat(found) if found else pd.DataFrame()


def warn_issuers(system: System) -> pd.DataFrame:
    """Return assets whose issuer has no liabilities, so that no loss of the issuer ever reaches them."""
    liabilities, _, _ = _owed(system)
    none = system.nodes["node"][liabilities == 0.0]
    text = "its issuer has no liabilities, so the token is never cut: give nodes.liabilities, tokens included"
    bad = system.assets["issuer"].isin(none) & (system.assets["issuer"] != "")
    return _of_rows(system, "assets", bad, "issuer_without_liabilities", text)


def warn_nodes(system: System) -> pd.DataFrame:
    """Return nodes that owe less than claims and their tokens add up to; ``value`` is that sum.

    Tokens count net of what is borrowed, at the lowest opening price of the asset. Issuers that owe nothing at all are
    left to `warn_issuers`.
    """
    liabilities, listed, tokens = _owed(system)
    bad = (liabilities < (listed + tokens) * (1.0 - _ROUNDING)) & ((liabilities > 0.0) | (listed > 0.0))
    text = (
        "liabilities below the claims on it plus the tokens it issued that accounts hold: losses are shared by too "
        "few, and nobody outside bears any; give nodes.liabilities, at least this sum"
    )
    return _of_rows(system, "nodes", pd.Series(bad), "liabilities_below_claims", text, listed + tokens)


def warn_owners(system: System) -> pd.DataFrame:
    """Return accounts that are named like a node but have no owner."""
    accounts = system.accounts
    bad = (accounts["owner"] == "") & accounts["account"].isin(system.nodes["node"])
    text = "has the name of a node but no owner: it is not part of that node's balance sheet; if it is, give owner"
    return _of_rows(system, "accounts", bad, "owner_missing", text)


def warn_repeated(system: System) -> pd.DataFrame:
    """Return positions and claims that repeat an earlier row in every cell; ``value`` is the quantity or amount."""
    text = "repeats an earlier row in every cell: they add up; drop it if it is there by accident"
    found = []
    for table, number in (("positions", "quantity"), ("claims", "amount")):
        frame = getattr(system, table)
        bad = frame[number].duplicated(keep=False)  # text is compared only where numbers agree
        bad[bad] = frame[list(schema.columns(table))][bad].duplicated()
        found.append(_of_rows(system, table, bad, "repeated_row", text, frame[number].to_numpy(dtype=np.float64)))
    return pd.concat(found, ignore_index=True)


def warn_empty(system: System) -> pd.DataFrame:
    """Return one warning if no table has a row."""
    if any(len(frame) for _, frame in system.tables()):
        return pd.DataFrame()
    return _warn("nodes", None, pd.Series(["system"], dtype="str"), "empty", "no table has a row", np.nan)


def warn_funding(system: System) -> pd.DataFrame:
    """Return accounts that would be funded but do not ask, and that ask but have nobody to fund them."""
    accounts, funding = system.accounts, system.funding
    asking = accounts.loc[accounts["call_policy"] == "fund", "account"]
    idle = ~funding["account"].isin(asking)
    alone = (accounts["call_policy"] == "fund") & ~accounts["account"].isin(funding["account"])
    unused, unmet = "its call_policy is not fund: the row is not used", "call_policy fund without a row in funding"
    return pd.concat(
        [
            _of_rows(system, "funding", idle, "funding_unused", unused),
            _of_rows(system, "accounts", alone, "funding_missing", unmet),
        ],
        ignore_index=True,
    )


def warn_pegs(system: System) -> pd.DataFrame:
    """Return pegged markets whose issuer's haircut cuts the anchor's price too: it counts twice."""
    issuer = system.markets["asset"].map(system.assets.set_index("asset")["issuer"]).to_numpy(dtype=object)
    own = np.append(issuer, "")
    anchors = pegs(system)
    twice = np.zeros(anchors.size, dtype=np.bool_)
    anchor = anchors
    while (anchor >= 0).any():
        twice |= (own[anchor] == issuer) & (issuer != "")
        anchor = np.where(anchor >= 0, np.append(anchors, -1)[anchor], -1)
    text = "pegged to a market of the same issuer: a haircut of the issuer counts twice"
    return _of_rows(system, "markets", pd.Series(twice), "issuer_counts_twice", text)


def warn_oracles(system: System) -> pd.DataFrame:
    """Return oracle rows with a market and a fixed price; ``value`` is the price that is not used."""
    oracles = system.oracles
    both = (oracles["market"] != "") & oracles["value"].notna()
    text = "reads a market: the fixed price in value is not used"
    return _of_rows(system, "oracles", both, "value_unused", text, oracles["value"].to_numpy())


WARNINGS: tuple[Callable[[System], pd.DataFrame], ...] = (
    warn_opening,
    warn_assets,
    warn_markets,
    warn_links,
    warn_terms,
    warn_oracles,
    warn_pegs,
    warn_issuers,
    warn_nodes,
    warn_owners,
    warn_repeated,
    warn_funding,
    warn_columns,
    warn_empty,
)
"""Each returns the rows it found, with the columns of `review`."""


def _acting_at_once(system: System, broke: pd.Series[str]) -> list[pd.DataFrame]:
    """Return stop losses and quotes of accounts that have no equity to lose a share of."""
    stops = system.accounts["stop_loss"].notna() & system.accounts["account"].isin(broke)
    quoting = system.quotes["account"].isin(broke)
    stopped = "opening equity is not positive: its stop_loss acts at once; drop stop_loss, or mend what it holds"
    gone = "opening equity of the account is not positive: the quote is withdrawn at once"
    return [
        _of_rows(system, "accounts", stops, "stop_loss_at_opening", stopped),
        _of_rows(system, "quotes", quoting, "quote_withdrawn_at_opening", gone),
    ]


def _owed(system: System) -> tuple[Floats, Floats, Floats]:
    """Return for each node its liabilities, the claims on it, and the tokens it issued that accounts hold, in USD."""
    nodes, assets = system.nodes, system.assets
    debtor = pd.Index(nodes["node"]).get_indexer(pd.Index(system.claims["debtor"]))
    listed = sum_by(debtor, system.claims["amount"].to_numpy(dtype=np.float64), len(nodes))
    issued = assets[assets["issuer"] != ""]
    price = issued["asset"].map(system.markets.groupby("asset")["price"].min()).fillna(0.0)
    positions = system.positions
    token = pd.Index(issued["asset"]).get_indexer(pd.Index(positions["asset"]))
    rows = np.flatnonzero((token >= 0) & (positions["side"] != "perp").to_numpy(dtype=np.bool_))
    sign = np.where(positions["side"].iloc[rows] == "debt", -1.0, 1.0)
    units = sum_by(token[rows], sign * positions["quantity"].to_numpy(dtype=np.float64)[rows], len(issued))
    held = np.maximum(units, 0.0) * price.to_numpy(dtype=np.float64)
    tokens = sum_by(pd.Index(nodes["node"]).get_indexer(pd.Index(issued["issuer"])), held, len(nodes))
    given = nodes["liabilities"].to_numpy(dtype=np.float64)
    return np.where(np.isnan(given), listed, given), listed, tokens


def _named(names: pd.Index[str]) -> pd.Series[str]:
    return names.to_series().reset_index(drop=True)


def _without_terms(system: System) -> tuple[pd.DataFrame, Ints, Floats]:
    """Return platform, mode and asset held without terms, the first position of each, and their number."""
    positions, terms = system.positions, system.terms
    own = np.where(positions["side"] == "perp", positions["maintenance"].notna(), positions["weight"].notna())
    rows = np.flatnonzero((positions["side"] != "debt").to_numpy(dtype=np.bool_) & ~own)
    held_by = pd.Index(system.accounts["account"]).get_indexer(pd.Index(positions["account"].iloc[rows]))
    rules = system.accounts[["platform", "mode"]]
    rule = rules.groupby(["platform", "mode"]).ngroup().to_numpy()[held_by]
    codes = pd.DataFrame({"rule": rule, "asset": pd.factorize(positions["asset"].iloc[rows])[0]})
    count = codes.groupby(["rule", "asset"])["asset"].transform("size")
    first = np.flatnonzero(~codes.duplicated())
    keys = rules.iloc[held_by[first]].reset_index(drop=True)
    keys["asset"] = positions["asset"].iloc[rows[first]].reset_index(drop=True)
    listed = _key(terms["platform"], terms["mode"], terms["asset"])
    bare = ~_key(keys["platform"], keys["mode"], keys["asset"]).isin(listed)
    return keys[bare], rows[first[bare]], count.to_numpy(dtype=np.float64)[first[bare]]


def _key(*columns: pd.Series[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays(list(columns))


def _of_rows(
    system: System, table: str, bad: pd.Series[bool], warning: str, text: str, value: Floats | None = None
) -> pd.DataFrame:
    """Return one warning for each row of a table where ``bad`` holds, named by its first column."""
    frame = getattr(system, table)
    rows = np.flatnonzero(bad.to_numpy(dtype=np.bool_))
    return _warn(table, rows, frame.iloc[rows, 0], warning, text, np.nan if value is None else value[rows])


def _warn(
    table: str, rows: Ints | None, names: pd.Series[str], warning: str, text: str, value: Floats | float
) -> pd.DataFrame:
    """Return the rows of one warning; ``rows`` count from 0, None for a whole column."""
    frame = pd.DataFrame({"name": names.to_numpy()}, dtype="str")
    number = pd.array([pd.NA] * len(names) if rows is None else rows + 1, dtype="Int64")
    frame = frame.assign(table=table, row=number, warning=warning, value=value, text=text)
    return frame[list(_COLUMNS)].astype(_COLUMNS)
