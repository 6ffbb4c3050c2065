"""Random valid systems for tests: small, and drawn so that over many seeds every column and every rule is in use.

A system is drawn as a desk would describe it: a few venues and lenders, half a dozen assets in up to eight markets, and
accounts built to a chosen opening health, so that most stand at the start and many fall in the cascade.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Row = dict[str, Any]
Tables = dict[str, list[Row]]
Scenario = dict[str, Any]

INF = float("inf")
SIZES: Mapping[str, tuple[int, int]] = {"tiny": (2, 4), "small": (5, 14), "large": (30, 60)}
DOLLAR = "USD"
KINDS = {
    "BTC": "native",
    "ALT": "altcoin",
    "SYN": "synthetic_dollar",
    "WBTC": "wrapped",
    "STK": "liquid_staking",
    "TOK": "token",
    "OTH": "other",
    DOLLAR: "stablecoin",
}
IMPACTS = ("exponential", "linear", "sqrt", "constant_product")


@dataclass
class Draft:
    """A system in the making: the generator, the tables so far, and what later tables need to know of earlier ones."""

    rng: np.random.Generator
    shorts: bool
    count: int
    depth_scale: float = 1.0
    crowded: str = "BTC"
    fragile: bool = False
    tables: Tables = field(default_factory=dict)
    platforms: list[str] = field(default_factory=list)
    base_price: dict[str, float] = field(default_factory=dict)
    issuers: dict[str, str] = field(default_factory=dict)
    listed: dict[str, list[str]] = field(default_factory=dict)

    def chance(self, probability: float) -> bool:
        """Return True with the probability."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """Return a uniform number."""
        return float(self.rng.uniform(low, high))

    def scale(self, low: float, high: float) -> float:
        """Return a number that is uniform in its logarithm."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def pick(self, options: Any) -> Any:
        """Return one of the options."""
        options = list(options)
        return options[int(self.rng.integers(len(options)))]

    def some(self, options: Any, most: int) -> list[Any]:
        """Return between one and so many of the options, each at most once."""
        options = list(options)
        size = int(self.rng.integers(1, min(most, len(options)) + 1)) if options else 0
        return [options[int(i)] for i in self.rng.permutation(len(options))[:size]]

    def held(self, most: int) -> list[str]:
        """Return assets to hold: now and then just the one that everybody holds."""
        return [self.crowded] if self.chance(0.9 if self.fragile else 0.4) else self.some(self.moving, most)

    @property
    def moving(self) -> list[str]:
        """Assets whose price can move."""
        return [asset for asset in self.base_price if asset != DOLLAR]


def random_tables(rng: np.random.Generator, *, shorts: bool = True, size: str = "small") -> tuple[Tables, Scenario]:
    """Return the tables of a random valid system and a scenario for it.

    With ``shorts=False`` the system is long-only (docs/model.md, section 15): no short perps, debts in cash or in a
    dollar that never moves, and level × maintenance ≤ 1 on perps.
    """
    low, high = SIZES[size]
    draft = Draft(rng, shorts, int(rng.integers(low, high + 1)))
    draft.fragile = draft.chance(0.5)
    draft.depth_scale = draft.scale(0.4, 2.5) if draft.fragile else draft.scale(0.4, 5.0)
    add_nodes(draft)
    add_assets(draft)
    add_markets(draft)
    add_terms(draft)
    add_oracles(draft)
    add_routes(draft)
    add_accounts(draft)
    add_quotes(draft)
    add_funding(draft)
    add_claims(draft)
    add_liabilities(draft)
    add_arbitrage(draft)
    scenario = draw_scenario(draft)
    return {name: finish(draft, rows) for name, rows in draft.tables.items()}, scenario


def finish(draft: Draft, rows: list[Row]) -> list[Row]:
    """Return the rows shuffled, the missing cells sometimes spelled out."""
    spelled = draft.chance(0.3)
    kept = [{key: value for key, value in row.items() if spelled or value is not None} for row in rows]
    return [kept[int(i)] for i in draft.rng.permutation(len(kept))]


# ---------------------------------------------------------------------------------------------------------------------
# Nodes, assets, markets


def add_nodes(draft: Draft) -> None:
    """Add two or three platforms, an issuer and a bank or two; liabilities come last."""
    draft.platforms = ["ex0", "lend0", "ex1", "lend1"][: int(draft.rng.integers(2, 5))]
    names = [*draft.platforms, "issuer", *["bank0", "fund0"][: int(draft.rng.integers(1, 3))]]
    draft.tables["nodes"] = [draw_node(draft, name) for name in names]


def draw_node(draft: Draft, name: str) -> Row:
    """Return one node with its rules."""
    protocol = name.startswith("lend")
    rule = draft.pick(["ltv", None] if protocol else ["ltv", "maintenance", "maintenance"])
    level = draft.between(0.9, 1.1) if draft.chance(0.3) else None
    start = 1.0 if level is None else level
    return {
        "node": name,
        "kind": "protocol" if protocol else "exchange" if name.startswith("ex") else draft.pick(["institution", None]),
        "domain": draft.pick(["defi", "cefi", "tradfi", None]),
        "buffer": draft.scale(3.0, 150.0) if draft.chance(0.65) else draft.pick([0.0, None]),
        "recovery_rate": 0.0 if draft.chance(0.04) else draft.pick([None, None, 1.0, 0.5, draft.between(0.3, 0.95)]),
        "margin_rule": rule,
        "liquidation_level": level,
        "call_level": start * draft.between(1.0, 1.25) if draft.chance(0.7) else None,
        "target_level": start * draft.between(1.0, 1.3) if draft.chance(0.4) else None,
        "close_rule": draft.pick(["restore", None, None, "full", "close_factor", "close_factor"]),
        "close_factor": draft.pick([None, None, draft.between(0.0, 1.0), 0.1, 0.2, 1.0]),
        "full_close_level": draft.pick([None, 0.0, draft.between(0.6, 1.0), 0.9, 0.7]),
    }


def add_assets(draft: Draft) -> None:
    """Add the dollar and two to four assets that move; some have an issuer."""
    moving = draft.some(["ALT", "SYN", "WBTC", "STK", "TOK", "OTH"], 3)
    draft.base_price = {"BTC": draft.scale(0.5, 200.0)}
    for asset in moving:
        draft.base_price[asset] = draft.base_price["BTC"] if asset == "WBTC" else draft.scale(0.2, 50.0)
    draft.crowded = draft.pick(draft.base_price)
    draft.base_price[DOLLAR] = 1.0
    for asset in moving:
        if asset == "SYN" or draft.chance(0.2):
            draft.issuers[asset] = draft.pick(["issuer", "issuer", "issuer", draft.platforms[-1]])
    draft.tables["assets"] = [
        {"asset": asset, "kind": KINDS[asset] if draft.chance(0.8) else None, "issuer": draft.issuers.get(asset)}
        for asset in draft.base_price
    ]
    if draft.chance(0.04):
        # traded nowhere: worth nothing
        draft.tables["assets"].append({"asset": "DUST", "kind": "other"})


def add_markets(draft: Draft) -> None:
    """Add one market or two of every asset, the second often pegged to the first; the dollar never moves."""
    rows: list[Row] = []
    for asset in draft.base_price:
        lone = asset == DOLLAR or (draft.fragile and asset == draft.crowded and draft.chance(0.7))
        venues = draft.some(draft.platforms, 1 if lone else 3 if draft.chance(0.2) else 2)
        draft.listed[asset] = [f"{venue}:{asset}" for venue in venues]
        rows += [draw_market(draft, venue, asset, rows) for venue in venues]
    draft.tables["markets"] = rows


def draw_market(draft: Draft, venue: str, asset: str, others: list[Row]) -> Row:
    """Return one market; pegs point to markets drawn before, so that they never make a circle."""
    dollar = asset == DOLLAR
    depth: float | None = draft.depth_scale * draft.scale(3.0, 60.0)
    if dollar or draft.chance(0.06):
        depth = INF
    elif draft.chance(0.1):
        depth = draft.pick([0.0, None])
    pegs = [row["market"] for row in others if row["asset"] != DOLLAR]
    pegged = pegs and draft.chance(0.7 if asset in ("WBTC", "STK") else 0.08)
    floor = draft.pick([draft.between(0.4, 0.97), draft.between(0.4, 0.97), 0.1, 1.0]) if draft.chance(0.3) else None
    return {
        "market": f"{venue}:{asset}",
        "venue": venue,
        "asset": asset,
        "price": 1.0 if dollar else draft.base_price[asset] * draft.between(0.99, 1.01),
        "depth": depth,
        "impact": draft.pick([*IMPACTS, None]),
        "floor": floor,
        "pegged_to": draft.pick(pegs) if pegged and not dollar else None,
    }


# ---------------------------------------------------------------------------------------------------------------------
# Terms, oracles, routes


def add_terms(draft: Draft) -> None:
    """Add the terms of most platforms for most assets, in the default mode and a VIP one."""
    draft.tables["terms"] = [
        draw_terms(draft, platform, mode, asset)
        for platform in draft.platforms
        for mode in (None, "vip")
        for asset in draft.base_price
        if draft.chance(0.9 if mode is None else 0.6)
    ]


def draw_terms(draft: Draft, platform: str, mode: str | None, asset: str) -> Row:
    """Return one row of terms."""
    dollar = asset == DOLLAR
    low, high = (0.85, 1.0) if dollar or mode else (0.55, 0.9)
    return {
        "platform": platform,
        "mode": mode,
        "asset": asset,
        "weight": None if draft.chance(0.03) else draft.between(low, high),
        "maintenance": None if draft.chance(0.15) else draft.between(0.01, 0.08),
        "cost": draft.pick([None, 0.0]) if dollar else draw_cost(draft),
    }


def draw_cost(draft: Draft) -> float | None:
    """Return a liquidation cost: mostly small, now and then toxic."""
    if draft.chance(0.08):
        return float(draft.pick([0.3, 1.0]))
    return draft.between(0.0, 0.1) if draft.chance(0.7) else None


def split(draft: Draft, parts: int, *, zeros: bool) -> list[float]:
    """Return so many shares that sum to one; with zeros, a share may be 0."""
    if parts == 1:
        return [1.0]
    if zeros and draft.chance(0.1):
        return [1.0] + [0.0] * (parts - 1)
    raw = [draft.between(0.2, 1.0) for _ in range(parts)]
    shares = [value / sum(raw) for value in raw[:-1]]
    return [*shares, 1.0 - sum(shares)]


def add_oracles(draft: Draft) -> None:
    """Add oracles for half the pairs: market blends, hard-coded values, blends of both, another asset's market."""
    rows: list[Row] = []
    for platform in draft.platforms:
        for asset in draft.base_price:
            if draft.chance(0.5):
                rows += draw_oracle(draft, platform, asset)
    draft.tables["oracles"] = rows


def draw_oracle(draft: Draft, platform: str, asset: str) -> list[Row]:
    """Return the sources of one oracle."""
    key = {"platform": platform, "asset": asset}
    fixed = draft.base_price[asset] * (1.0 if asset == DOLLAR else draft.between(0.98, 1.02))
    sources: list[str | None] = list(draft.some(draft.listed[asset], 3))
    if asset == "WBTC" and draft.chance(0.4):
        sources = list(draft.some(draft.listed["BTC"], 2))
    if draft.chance(0.15):
        sources = [None] if draft.chance(0.6) else [*sources, None]
    weights = split(draft, len(sources), zeros=False)
    if len(sources) == 1 and draft.chance(0.5):
        return [{**key, "market": sources[0], "value": fixed if sources[0] is None else None}]
    return [
        {**key, "market": market, "weight": weight, "value": fixed if market is None else None}
        for market, weight in zip(sources, weights, strict=True)
    ]


def add_routes(draft: Draft) -> None:
    """Add routes for half the pairs, over up to three markets of the asset."""
    rows: list[Row] = []
    for platform in draft.platforms:
        for asset in draft.base_price:
            if draft.chance(0.5):
                continue
            markets = draft.some(draft.listed[asset], 3)
            shares: list[float | None] = list(split(draft, len(markets), zeros=True))
            if len(markets) == 1 and draft.chance(0.5):
                shares = [None]
            rows += [
                {"platform": platform, "asset": asset, "market": market, "share": share}
                for market, share in zip(markets, shares, strict=True)
            ]
    draft.tables["routes"] = rows


# ---------------------------------------------------------------------------------------------------------------------
# Accounts and positions


def add_accounts(draft: Draft) -> None:
    """Add the accounts, and to each the positions that give it its opening health."""
    draft.tables["accounts"], draft.tables["positions"] = [], []
    nodes = [row["node"] for row in draft.tables["nodes"]]
    for number in range(draft.count):
        row: Row = {
            "account": f"acc{number}",
            "platform": draft.pick(draft.platforms),
            "owner": draft.pick(nodes) if draft.chance(0.15) else draft.pick([None, "desk", None]),
            "group": draft.pick([None, "whale", "market maker", "loop", "trader"]),
            "mode": "vip" if draft.chance(0.2) else None,
            "cash": None,
            "call_policy": draft.pick(["none", None, "delever", "fund", "fund"]),
            "stop_loss": draft_stop_loss(draft),
        }
        draw_book = draft.pick([borrower, borrower, borrower, perp_book, unified, plain_holder])
        draft.tables["positions"] += draw_book(draft, row)
        draft.tables["accounts"].append(row)


def draft_stop_loss(draft: Draft) -> float | None:
    """Return the stop-loss of an account; 1 only without shorts, where no hedge leaves equity unchanged to rounding."""
    if not draft.chance(0.2):
        return None
    return float(draft.pick([0.0, draft.between(0.3, 0.95), 0.8, 0.9 if draft.shorts else 1.0]))


def terms_of(draft: Draft, account: Row, asset: str) -> tuple[float, float]:
    """Return weight and maintenance that the account gets for the asset."""
    for row in draft.tables["terms"]:
        if (row["platform"], row["mode"], row["asset"]) == (account["platform"], account["mode"], asset):
            return row["weight"] or 0.0, row["maintenance"] or 0.0
    return 0.0, 0.0


def opening_health(draft: Draft, account: Row) -> float:
    """Return the health that an account starts with: now and then below its level, mostly a little above."""
    node = next(row for row in draft.tables["nodes"] if row["node"] == account["platform"])
    level = float(node["liquidation_level"] or 1.0)
    if draft.chance(0.015):
        return level * draft.between(0.85, 1.0)
    if draft.fragile:
        return level * draft.between(1.02, 1.25)
    return level * (draft.between(1.03, 1.3) if draft.chance(0.7) else draft.between(1.3, 2.5))


def holding(draft: Draft, account: Row, asset: str, dollars: float) -> Row:
    """Return one collateral position worth so many dollars, its terms now and then its own."""
    return {
        "account": account["account"],
        "asset": asset,
        "side": draft.pick(["collateral", None]),
        "quantity": dollars / draft.base_price[asset],
        "weight": draft.between(0.6, 0.95) if draft.chance(0.08) else None,
    }


def owed(draft: Draft, account: Row, asset: str, dollars: float) -> Row:
    """Return one debt of so many dollars."""
    return {
        "account": account["account"],
        "asset": asset,
        "side": "debt",
        "quantity": dollars / draft.base_price[asset],
        "maintenance": draft.between(0.0, 0.06) if draft.chance(0.08) else None,
    }


def perp(draft: Draft, account: Row, asset: str, dollars: float) -> Row:
    """Return one perp of so many dollars (short if negative), entered near today's price."""
    price = draft.base_price[asset]
    return {
        "account": account["account"],
        "asset": asset,
        "side": "perp",
        "quantity": dollars / price,
        "entry_price": price * draft.between(0.95, 1.05),
        "maintenance": draft.between(0.02, 0.07) if draft.chance(0.08) else None,
    }


def worth(draft: Draft, account: Row, books: list[Row]) -> tuple[float, float]:
    """Return about how much the platform sees in these positions, and the maintenance that it asks."""
    assets = maintenance = 0.0
    for row in books:
        weight, rate = terms_of(draft, account, row["asset"])
        weight = weight if row.get("weight") is None else row["weight"]
        rate = rate if row.get("maintenance") is None else row["maintenance"]
        value = row["quantity"] * draft.base_price[row["asset"]]
        if row["side"] == "perp":
            assets += value - row["quantity"] * row["entry_price"]
            maintenance += rate * abs(value)
        elif row["side"] != "debt":
            assets += weight * value
        else:
            assets -= value
            maintenance += rate * value
    return assets, maintenance


def borrower(draft: Draft, account: Row) -> list[Row]:
    """Return collateral of one or two assets against a debt in dollars, in cash, or (with shorts) in a moving asset."""
    size = draft.scale(30.0, 400.0)
    assets = draft.held(2)
    books = [holding(draft, account, asset, size / len(assets)) for asset in assets]
    room, _ = worth(draft, account, books)
    if room <= 0.0:
        return books
    left = [asset for asset in draft.moving if asset not in assets]
    lent = draft.pick(left) if draft.shorts and left and draft.chance(0.3) else DOLLAR
    _, rate = terms_of(draft, account, lent)
    debt = room / (opening_health(draft, account) + 1.2 * rate)
    if lent == DOLLAR and draft.chance(0.3):
        account["cash"] = -debt
        return books
    return [*books, owed(draft, account, lent, debt)]


def perp_book(draft: Draft, account: Row) -> list[Row]:
    """Return one or two perps with a cash margin of a third to a twentieth of them."""
    books = []
    for asset in draft.held(2):
        side = -1.0 if draft.shorts and draft.chance(0.45) else 1.0
        books.append(perp(draft, account, asset, side * draft.scale(30.0, 400.0)))
    gain, maintenance = worth(draft, account, books)
    size = sum(abs(row["quantity"]) * draft.base_price[row["asset"]] for row in books)
    account["cash"] = max(maintenance * opening_health(draft, account), size * draft.between(0.03, 0.3)) - min(
        gain, 0.0
    )
    return books


def unified(draft: Draft, account: Row) -> list[Row]:
    """Return a cross-margined book: collateral, a perp against it or on top of it, a debt in dollars."""
    assets = draft.held(2)
    size = draft.scale(60.0, 400.0)
    books = [holding(draft, account, asset, size / len(assets)) for asset in assets]
    side = -1.0 if draft.shorts and draft.chance(0.6) else 1.0
    books.append(perp(draft, account, draft.pick(assets), side * size * draft.between(0.2, 1.2)))
    room, maintenance = worth(draft, account, books)
    account["cash"] = draft.pick([None, draft.between(0.0, 0.2) * size])
    spare = room + (account["cash"] or 0.0) - maintenance * 1.5
    if spare > 0.0 and draft.chance(0.8):
        debt = spare / opening_health(draft, account)
        if draft.chance(0.3):
            account["cash"] = (account["cash"] or 0.0) - debt
        else:
            books.append(owed(draft, account, DOLLAR, debt))
    return books


def plain_holder(draft: Draft, account: Row) -> list[Row]:
    """Return an unlevered book (a source of cash), sometimes in the red, sometimes with a worthless token in it."""
    books = [holding(draft, account, asset, draft.scale(10.0, 150.0)) for asset in draft.some(draft.base_price, 2)]
    account["cash"] = draft.pick([None, draft.between(0.0, 60.0)])
    if draft.chance(0.05):
        account["cash"] = -draft.between(100.0, 400.0)
    if len(draft.tables["assets"]) > len(draft.base_price) and draft.chance(0.5):
        books.append({"account": account["account"], "asset": "DUST", "side": "collateral", "quantity": 3.0})
    return books


# ---------------------------------------------------------------------------------------------------------------------
# Market makers, funding, claims, liabilities, arbitrage


def add_quotes(draft: Draft) -> None:
    """Let a third of the accounts quote one or two markets."""
    rows: list[Row] = []
    markets = [row["market"] for row in draft.tables["markets"] if row["asset"] != DOLLAR]
    for account in draft.tables["accounts"]:
        if not draft.chance(0.3):
            continue
        for market in draft.some(markets, 2):
            full_at = draft.between(0.8, 1.0) if draft.chance(0.4) else None
            rows.append(
                {
                    "account": account["account"],
                    "market": market,
                    "depth": 0.0 if draft.chance(0.05) else draft.depth_scale * draft.scale(2.0, 40.0),
                    "full_at": full_at,
                    "withdrawn_at": draft.between(0.0, 0.75) if draft.chance(0.5) else None,
                }
            )
    draft.tables["quotes"] = rows


def add_funding(draft: Draft) -> None:
    """Give the accounts that raise cash one to three sources; sources are shared, and may be called themselves."""
    rows: list[Row] = []
    names = [row["account"] for row in draft.tables["accounts"]]
    shared = draft.some(names, 3)
    for account in draft.tables["accounts"]:
        if account["call_policy"] != "fund" and not draft.chance(0.05):
            continue
        name = account["account"]
        sources = [other for other in draft.some(shared if draft.chance(0.7) else names, 3) if other != name]
        rows += [
            {"account": name, "source": source, "priority": draft.pick([None, 1.0, 2.0, 0.5])} for source in sources
        ]
    draft.tables["funding"] = rows


def add_claims(draft: Draft) -> None:
    """Add claims of nodes and accounts on nodes, small beside the liabilities to come or large."""
    nodes = [row["node"] for row in draft.tables["nodes"]]
    accounts = [row["account"] for row in draft.tables["accounts"]]
    rows: list[Row] = []
    for debtor in nodes:
        for _ in range(int(draft.rng.integers(0, 4))):
            creditor = draft.pick(accounts if draft.chance(0.4) else nodes)
            if creditor != debtor:
                amount = 0.0 if draft.chance(0.03) else draft.scale(5.0, 150.0)
                rows.append({"creditor": creditor, "debtor": debtor, "amount": amount})
    draft.tables["claims"] = rows


def add_liabilities(draft: Draft) -> None:
    """State the liabilities of some nodes: their claims and tokens, and what is owed outside the system."""
    for node in draft.tables["nodes"]:
        name = node["node"]
        claims = sum(row["amount"] for row in draft.tables["claims"] if row["debtor"] == name)
        tokens = sum(
            row["quantity"] * draft.base_price[row["asset"]]
            for row in draft.tables["positions"]
            if draft.issuers.get(row["asset"]) == name and row["side"] != "debt" and row["quantity"] > 0.0
        )
        node["liabilities"] = None
        if tokens > 0.0 or draft.chance(0.7):
            node["liabilities"] = (claims + tokens) * draft.between(1.0, 1.5) + draft.scale(10.0, 1500.0)


def add_arbitrage(draft: Draft) -> None:
    """Link the markets of one asset, each pair at most once."""
    rows: list[Row] = []
    for asset in draft.moving:
        markets = draft.listed[asset]
        for position, one in enumerate(markets):
            for other in markets[:position]:
                if draft.chance(0.6):
                    depth = 0.0 if draft.chance(0.05) else draft.scale(1.0, 60.0)
                    rows.append({"market_a": one, "market_b": other, "depth": depth})
    draft.tables["arbitrage"] = rows


# ---------------------------------------------------------------------------------------------------------------------
# Scenario


def draw_scenario(draft: Draft) -> Scenario:
    """Return shocks by asset and by market, depth factors by market, venue and asset, arbitrage, external losses."""
    markets = [row["market"] for row in draft.tables["markets"] if row["asset"] != DOLLAR]
    shocks = {asset: draft.scale(0.02, 0.3) for asset in draft.some(draft.moving, 3)}
    if draft.fragile:
        shocks = {draft.crowded: draft.scale(0.02, 0.08)}
    if draft.chance(0.3):
        shocks[draft.pick(markets)] = draft.pick([0.0, draft.scale(0.02, 0.6)])
    if draft.chance(0.06):
        shocks = {}
    depth = {}
    for keys, probability in ((markets, 0.3), (draft.platforms, 0.3), (draft.moving, 0.3)):
        if draft.chance(probability):
            depth[draft.pick(keys)] = 0.0 if draft.chance(0.1) else draft.pick([0.1, draft.between(0.1, 1.0), 0.5, 1.5])
    losses = {}
    for node in draft.tables["nodes"]:
        if draft.chance(0.3 if node["node"] == "issuer" else 0.1):
            owes = node["liabilities"] or 50.0
            losses[node["node"]] = owes * draft.scale(0.03, 1.5)
    arbitrage = draft.pick([1.0, 1.0, 0.0, 0.1, 0.5])
    return {"shocks": shocks, "depth": depth, "arbitrage": arbitrage, "losses": losses}
