"""The parts that entities play in a loss: hit first, passing on, pushed by those who pass on, losing, settling.

One market may be hit by a shock and pushed further by those whom the shock forces to sell, and one account may sell and
lose. Each part gets a box of its own, so that the story runs from left to right; flows are conserved at each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution import Attribution
from contagion.attribution.entities import Entities
from contagion.kernels.inputs import COLLATERAL, Bools, Floats, Ints, sum_by

__all__ = ["AMOUNTS", "CLASSES", "Roles", "roles"]

AMOUNTS = ("members", "usd", "borne", "base", "lost", "held", "sold", "depth", "thinned")
"""Columns of boxes that add up: members; what passes; what ends there; two numbers whose ratio is the share lost, of
price, of equity, or of liabilities; holdings and what was sold of them; depth or quotes and what is gone of them.
"""

CLASSES = {
    "liquidation": "liquidation",
    "forced sale": "liquidation",
    "call": "sale",
    "deleveraging": "sale",
    "stop_loss": "sale",
    "voluntary sale": "sale",
    "funding": "funding",
    "withdrawal": "quote",
    "depth": "quote",
    "arbitrage": "arbitrage",
    "peg": "peg",
    "issuer": "peg",
    "mark": "mark",
    "proceeds": "mark",
    "cost": "cost",
    "claims": "claim",
    "haircut": "claim",
    "owned": "owned",
    "deficit": "deficit",
}
"""Channel of the picture by kind of edge; what comes from sources is a shock."""

_FAMILIES = {"native": "native coins", "liquid_staking": "staked tokens", "other": "other tokens"}
_SETTLED = 1e-9


class Roles(NamedTuple):
    """Every role that takes part.

    ``boxes`` has name, type (source, hit, passing, pushed, losing, node), home, domain, asset, family, shocked and the
    columns of `AMOUNTS`; ``flows`` has cause and effect (rows of boxes), channel and usd; ``cut`` has cause (a pushed
    market), effect (passing accounts) and usd, what a fixed oracle price kept their platform from seeing.
    """

    boxes: pd.DataFrame
    flows: pd.DataFrame
    cut: pd.DataFrame


def roles(found: Attribution) -> Roles:
    """Return the roles of an attribution and the conserved flows between them."""
    base = found.entities()
    which, first = _divided(base)
    flows = found.flows_between(which)
    source = (flows["cause"] < len(base.sources)).to_numpy()
    flows = flows.assign(channel=np.where(source, "shock", flows["channel"].map(CLASSES)))
    flows = _unrolled(flows, first, len(which.names), len(base.sources))
    boxes = _boxes(found, base, first)
    size = len(boxes)
    boxes["borne"] = np.concatenate([found.borne(which), np.zeros(size - len(which.names))])
    through = sum_by(flows["effect"].to_numpy(), flows["usd"].to_numpy(), size)
    injected = sum_by(flows["cause"].to_numpy(), flows["usd"].to_numpy(), size)
    boxes["usd"] = np.where(boxes["type"] == "source", injected, through)
    cut = _cut(found, base, first)
    used = (boxes["usd"] != 0.0) | (boxes["borne"] != 0.0)
    used |= boxes.index.isin(flows["cause"]) | boxes.index.isin(cut["cause"]) | boxes.index.isin(cut["effect"])
    place = np.cumsum(used.to_numpy()) - 1
    flows, cut = (t.assign(cause=place[t["cause"]], effect=place[t["effect"]]) for t in (flows, cut))
    return Roles(boxes[used].reset_index(drop=True), flows, cut)


class _First(NamedTuple):
    """Numbers of the first box of each kind."""

    passing: int
    hit: int
    node: int
    losing: int
    pushed: int


def _divided(base: Entities) -> tuple[Entities, _First]:
    """Return the entities with what accounts do apart from what they lose, and where each kind of box starts."""
    types = base.types.to_numpy(dtype=object)
    counts = {kind: int((types == kind).sum()) for kind in ("source", "group", "market")}
    first = _First(
        passing=counts["source"],
        hit=counts["source"] + counts["group"],
        node=counts["source"] + counts["group"] + counts["market"],
        losing=types.size,
        pushed=types.size + counts["group"],
    )
    groups = slice(first.passing, first.hit)
    of = base.of | {kind: base.of[kind] - first.passing + first.losing for kind in ("loss", "short")}
    return Entities(
        base.names.append(base.names[groups]), base.types.append(base.types[groups]), base.sources, of
    ), first


def _unrolled(flows: pd.DataFrame, first: _First, size: int, sources: int) -> pd.DataFrame:
    """Return the flows with each market in two: before any account or node has passed the dollar on, and after."""
    cause, effect = flows["cause"].to_numpy(), flows["effect"].to_numpy()
    usd = flows["usd"].to_numpy(dtype=np.float64)
    share = _before(cause, effect, usd, first, size, sources)
    market = (cause >= first.hit) & (cause < first.node)
    into = (effect >= first.hit) & (effect < first.node)
    early = np.where(market, share[cause], np.where(cause < sources, 1.0, 0.0))
    moved = first.pushed - first.hit
    frames = []
    for part, later in ((early, False), (1.0 - early, True)):
        tail = np.where(market & later, cause + moved, cause)
        to = into & (later | (share[effect] == 0.0))
        frames.append(flows.assign(cause=tail, effect=np.where(to, effect + moved, effect), usd=usd * part))
    both = pd.concat(frames, ignore_index=True)
    both = both.groupby(["cause", "effect", "channel"], sort=True)["usd"].sum().reset_index()
    return both[both["usd"] != 0.0].reset_index(drop=True)


def _before(cause: Ints, effect: Ints, usd: Floats, first: _First, size: int, sources: int) -> Floats:
    """Return by entity the share of a market's through flow that has not yet passed an account or a node.

    By the flows among markets alone. Where hedges make it anything but a share, the market is not divided (0).
    """
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    through = sum_by(effect, usd, size)
    entering = sum_by(effect[cause < sources], usd[cause < sources], size)
    whole = np.zeros(size, dtype=bool)
    whole[first.hit : first.node] = through[first.hit : first.node] > 0.0
    share = np.zeros(size)
    while whole.any():
        among = whole[cause] & whole[effect]
        passed = usd[among] / through[cause[among]]
        move = sparse.csc_array((passed, (effect[among], cause[among])), shape=(size, size))
        reached = spsolve((sparse.eye_array(size) - move).tocsc(), np.where(whole, entering, 0.0))
        share = np.divide(reached, through, out=np.zeros(size), where=whole)
        odd: Bools = whole & ~((share >= 0.0) & (share <= 1.0 + _SETTLED))
        if not odd.any():
            break
        whole &= ~odd
        share = np.zeros(size)
    return np.where(share > 1.0 - _SETTLED, 1.0, np.where(share < _SETTLED, 0.0, share))


def _boxes(found: Attribution, base: Entities, first: _First) -> pd.DataFrame:
    """Return a row for each role, with all but its flows: sources, passing, hit, nodes, losing, pushed."""
    t = found.terminal
    nodes = t.parts.system.nodes.set_index("node").reindex(t.parts.labels.nodes)
    markets = _markets(found, base.names[first.hit : first.node])
    groups = _groups(found, base, first)
    sources = pd.DataFrame({"name": list(base.sources), "family": "other shocks"}).assign(type="source")
    node = pd.DataFrame(
        {
            "name": t.parts.labels.nodes.to_numpy(dtype=object),
            "family": [f"other {kind}s" for kind in nodes["kind"]],
            "domain": nodes["domain"].to_numpy(dtype=object),
            "base": t.parts.inputs.nodes.liabilities,
            "lost": t.parts.inputs.nodes.liabilities * t.theta,
        }
    ).assign(type="node")
    imposed = -np.expm1(-t.parts.inputs.markets.shock) * markets["base"]
    still = dict.fromkeys(("depth", "thinned"), 0.0)
    frames = [
        sources,
        groups.assign(type="passing", base=0.0, lost=0.0),
        markets.assign(type="hit", lost=imposed, **still),
        node,
        groups.assign(type="losing", held=0.0, sold=0.0, **still),
        markets.assign(type="pushed"),
    ]
    boxes = pd.concat(frames, ignore_index=True)
    boxes = boxes.assign(members=1.0, usd=0.0, borne=0.0, shocked=boxes["shocked"].eq(True))
    words = ["home", "domain", "asset"]
    boxes[words] = boxes[words].astype("object").fillna("")
    numbers = ["base", "lost", "held", "sold", "depth", "thinned"]
    return boxes.assign(**{name: boxes[name].astype(np.float64).fillna(0.0) for name in numbers})


def _markets(found: Attribution, names: pd.Index[str]) -> pd.DataFrame:
    """Return name, venue, asset, family, drop (weighted by what is held) and depth of each market."""
    t = found.terminal
    system, given, quotes = t.parts.system, t.parts.inputs.markets, t.parts.inputs.quotes
    worth = holdings.sums(holdings.opening_value(t.parts.inputs.positions, given.price, holdings.ASSETS), 0)
    worth = np.maximum(worth, 1e-9)
    depth = given.depth + sum_by(quotes.market, quotes.depth, given.price.size)
    finite = np.where(np.isinf(depth), 0.0, depth)
    left = np.where(np.isinf(depth), 0.0, t.parts.outcome.clearing.depth)
    domain = system.nodes.set_index("node")["domain"].reindex(t.venue)
    kinds = system.assets.set_index("asset")["kind"].reindex(t.asset)
    return pd.DataFrame(
        {
            "name": names.to_numpy(dtype=object),
            "home": t.venue.to_numpy(dtype=object),
            "domain": domain.to_numpy(dtype=object),
            "asset": t.asset.to_numpy(dtype=object),
            "family": [_FAMILIES.get(kind, f"{kind.replace('_', ' ')}s") for kind in kinds],
            "shocked": given.shock > 0.0,
            "base": worth,
            "lost": worth * -np.expm1(-t.drop),
            "depth": finite,
            "thinned": np.maximum(0.0, finite - left),
        }
    )


def _groups(found: Attribution, base: Entities, first: _First) -> pd.DataFrame:
    """Return name, platform, equity lost, holdings sold and quotes withdrawn of each account group."""
    parts, size = found.terminal.parts, first.hit - first.passing
    member = base.of["lam"] - first.passing
    held = holdings.opening_value(parts.inputs.positions, parts.inputs.markets.price, holdings.ASSETS)
    gross = holdings.sums(held, 1)
    accounts = parts.system.accounts.take(parts.labels.account_rows)
    leader = np.zeros(size, dtype=np.int64)
    leader[member[::-1]] = np.arange(member.size)[::-1]
    quotes, decision = parts.inputs.quotes, parts.outcome.decision
    quoting = member[quotes.account]
    equity = np.maximum(parts.outcome.opening_equity + decision.received - decision.given, 0.0)
    platform = parts.inputs.accounts.platform[leader]
    domain = parts.system.nodes.set_index("node")["domain"].reindex(parts.labels.nodes)
    return pd.DataFrame(
        {
            "name": base.names[first.passing : first.hit].to_numpy(dtype=object),
            "home": parts.labels.nodes.to_numpy(dtype=object)[platform],
            "domain": domain.to_numpy(dtype=object)[platform],
            "family": accounts["group"].to_numpy(dtype=object)[leader],
            "base": sum_by(member, equity, size),
            "lost": sum_by(member, parts.outcome.losses.lost, size),
            "held": sum_by(member, gross, size),
            "sold": sum_by(member, gross * found.terminal.lam, size),
            "depth": sum_by(quoting, quotes.depth, size),
            "thinned": sum_by(quoting, quotes.depth * found.terminal.eta, size),
        }
    )


def _cut(found: Attribution, base: Entities, first: _First) -> pd.DataFrame:
    """Return what collateral at a fixed oracle price would have lost at the worst price of its asset anywhere."""
    t = found.terminal
    positions = t.parts.inputs.positions
    drop = -np.expm1(-t.drop)
    worst = pd.DataFrame({"asset": t.asset, "drop": drop}).sort_values(["drop"], ascending=False, kind="stable")
    market_of = worst.reset_index().groupby("asset")["index"].first()
    sold_in = np.asarray(positions.route.argmax(axis=1)).ravel() if positions.route.shape[0] else np.zeros(0, int)
    asset = t.asset.take(sold_in[positions.pair])
    fixed = (positions.side == COLLATERAL) & (positions.oracle_fixed[positions.pair] > 0.0)
    account, column, units = holdings.entries(positions.quantity)
    chosen = fixed[column]
    account, column, units = account[chosen], column[chosen], units[chosen]
    market = market_of.reindex(asset).to_numpy(dtype=np.int64)[column]
    usd = units * positions.oracle_fixed[positions.pair][column] * drop[market]
    table = pd.DataFrame({"cause": first.pushed + market, "effect": base.of["lam"][account], "usd": usd})
    table = table.groupby(["cause", "effect"])["usd"].sum().reset_index()
    return table[table["usd"] > 0.0].reset_index(drop=True)
