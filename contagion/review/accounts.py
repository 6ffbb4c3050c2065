"""Accounts, what they hold and who funds them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion import schema
from contagion.arrays import lower
from contagion.kernels.accounts import lines, surplus
from contagion.kernels.inputs import NO_CALL, Floats, Ints
from contagion.review.found import key, of_rows, warn
from contagion.scenario import Scenario
from contagion.system import System


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
        found.append(warn("accounts", labels.account_rows[low], names, warning, text, margin[low]))
    return pd.concat([*found, *_acting_at_once(system, broke)], ignore_index=True)


def _acting_at_once(system: System, broke: pd.Series[str]) -> list[pd.DataFrame]:
    """Return stop losses and quotes of accounts that have no equity to lose a share of."""
    stops = system.accounts["stop_loss"].notna() & system.accounts["account"].isin(broke)
    quoting = system.quotes["account"].isin(broke)
    stopped = "opening equity is not positive: its stop_loss acts at once; drop stop_loss, or mend what it holds"
    gone = "opening equity of the account is not positive: the quote is withdrawn at once"
    return [
        of_rows(system, "accounts", stops, "stop_loss_at_opening", stopped),
        of_rows(system, "quotes", quoting, "quote_withdrawn_at_opening", gone),
    ]


def warn_terms(system: System) -> pd.DataFrame:
    """Return what is held without terms; ``row`` is the first such position, ``value`` their number.

    Debts need none, and a position with its own weight (a perp with its own maintenance) has them.
    """
    keys, rows, counts = _without_terms(system)
    default = system.terms[system.terms["mode"] == ""]
    in_default = key(keys["platform"], keys["asset"]).isin(key(default["platform"], default["asset"]))
    elsewhere = in_default & (keys["mode"] != "").to_numpy(dtype=np.bool_)
    names = keys["platform"] + " / " + keys["mode"].replace("", "default mode") + " / " + keys["asset"]
    found = []
    for bad, warning, text in (
        (elsewhere, "no_terms_in_mode", "no terms in this mode, though the default mode has them"),
        (~elsewhere, "no_terms", "no terms: collateral counts for nothing, a perp asks for no margin"),
    ):
        found.append(warn("positions", rows[bad], names[bad], warning, text, counts[bad]))
    return pd.concat(found, ignore_index=True)


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
    listed = key(terms["platform"], terms["mode"], terms["asset"])
    bare = ~key(keys["platform"], keys["mode"], keys["asset"]).isin(listed)
    return keys[bare], rows[first[bare]], count.to_numpy(dtype=np.float64)[first[bare]]


def warn_owners(system: System) -> pd.DataFrame:
    """Return accounts that are named like a node but have no owner."""
    accounts = system.accounts
    bad = (accounts["owner"] == "") & accounts["account"].isin(system.nodes["node"])
    text = "has the name of a node but no owner: it is not part of that node's balance sheet; if it is, give owner"
    return of_rows(system, "accounts", bad, "owner_missing", text)


def warn_repeated(system: System) -> pd.DataFrame:
    """Return positions and claims that repeat an earlier row in every cell; ``value`` is the quantity or amount."""
    text = "repeats an earlier row in every cell: they add up; drop it if it is there by accident"
    found = []
    for table, number in (("positions", "quantity"), ("claims", "amount")):
        frame = getattr(system, table)
        bad = frame[number].duplicated(keep=False)  # text is compared only where numbers agree
        bad[bad] = frame[list(schema.columns(table))][bad].duplicated()
        found.append(of_rows(system, table, bad, "repeated_row", text, frame[number].to_numpy(dtype=np.float64)))
    return pd.concat(found, ignore_index=True)


def warn_funding(system: System) -> pd.DataFrame:
    """Return accounts that would be funded but do not ask, and that ask but have nobody to fund them."""
    accounts, funding = system.accounts, system.funding
    asking = accounts.loc[accounts["call_policy"] == "fund", "account"]
    idle = ~funding["account"].isin(asking)
    alone = (accounts["call_policy"] == "fund") & ~accounts["account"].isin(funding["account"])
    unused, unmet = "its call_policy is not fund: the row is not used", "call_policy fund without a row in funding"
    return pd.concat(
        [
            of_rows(system, "funding", idle, "funding_unused", unused),
            of_rows(system, "accounts", alone, "funding_missing", unmet),
        ],
        ignore_index=True,
    )


def _named(names: pd.Index[str]) -> pd.Series[str]:
    return names.to_series().reset_index(drop=True)
