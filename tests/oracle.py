"""A deliberately naive reference solver, written from docs/model.md alone.

Plain loops over dicts, no arrays, no caching, no acceleration, and nothing imported from the package: it exists to
disagree. Section numbers in the docstrings are those of docs/model.md.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Mapping[str, Any]]]
Numbers = dict[str, float]

INF = math.inf
ONE_PER_CENT = -math.log(0.99)
POOL = 0.99**-0.5 - 1.0


# ---------------------------------------------------------------------------------------------------------------------
# Tables and their defaults, from the text of schema.csv


@dataclass
class System:
    """Tables with every default resolved, and the scenario laid over them."""

    nodes: dict[str, Row] = field(default_factory=dict)
    issuers: dict[str, str] = field(default_factory=dict)
    markets: dict[str, Row] = field(default_factory=dict)
    accounts: dict[str, Row] = field(default_factory=dict)
    holdings: dict[str, list[Row]] = field(default_factory=dict)
    claims: list[tuple[str, str, float]] = field(default_factory=list)
    quotes: list[Row] = field(default_factory=list)
    funding: list[tuple[str, str]] = field(default_factory=list)
    links: list[tuple[str, str, float]] = field(default_factory=list)
    losses: Numbers = field(default_factory=dict)
    pegs_first: list[str] = field(default_factory=list)


def cell(row: Mapping[str, Any], column: str, default: Any) -> Any:
    """Return the cell, or the default where it is missing, None, NaN or empty."""
    value = row.get(column)
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return default
    return value


def rows(tables: Tables, name: str) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a table; an absent table has none."""
    return tables.get(name) or []


def read_nodes(tables: Tables) -> dict[str, Row]:
    """Return the nodes with their rules."""
    claimed: Numbers = defaultdict(float)
    for row in rows(tables, "claims"):
        claimed[row["debtor"]] += row["amount"]
    nodes = {}
    for row in rows(tables, "nodes"):
        level = cell(row, "liquidation_level", 1.0)
        nodes[row["node"]] = {
            "buffer": cell(row, "buffer", 0.0),
            "liabilities": cell(row, "liabilities", claimed[row["node"]]),
            "recovery_rate": cell(row, "recovery_rate", 1.0),
            "margin_rule": cell(row, "margin_rule", "ltv"),
            "liquidation_level": level,
            "call_level": cell(row, "call_level", level),
            "target_level": cell(row, "target_level", level),
            "close_rule": cell(row, "close_rule", "restore"),
            "close_factor": cell(row, "close_factor", 0.5),
            "full_close_level": cell(row, "full_close_level", 0.95),
        }
    return nodes


def read_markets(tables: Tables, scenario: Mapping[str, Any]) -> dict[str, Row]:
    """Return the markets, with the scenario's own shock (in log terms) and depth factor of each (section 2)."""
    shocks = scenario.get("shocks") or {}
    factors = scenario.get("depth") or {}
    markets = {}
    for row in rows(tables, "markets"):
        name, venue, asset = row["market"], row["venue"], row["asset"]
        shock = shocks.get(name, shocks.get(asset, 0.0))
        factor = 1.0
        for key, value in factors.items():
            if key in (name, venue, asset):
                factor *= value
        markets[name] = {
            "venue": venue,
            "asset": asset,
            "price": row["price"],
            "depth": cell(row, "depth", 0.0),
            "impact": cell(row, "impact", "exponential"),
            "floor": cell(row, "floor", 0.01),
            "pegged_to": cell(row, "pegged_to", ""),
            "shock": -math.log(1.0 - shock),
            "factor": factor,
        }
    return markets


def order_of_pegs(markets: dict[str, Row]) -> list[str]:
    """Return the market names so that every market comes after the one that it is pegged to."""
    ordered: list[str] = []
    while len(ordered) < len(markets):
        before = len(ordered)
        for name, market in markets.items():
            if name not in ordered and (not market["pegged_to"] or market["pegged_to"] in ordered):
                ordered.append(name)
        if len(ordered) == before:
            raise ValueError("the pegs form a circle")
    return ordered


def default_weights(markets: dict[str, Row], platform: str, asset: str) -> list[tuple[str, float]]:
    """Return markets and weights where neither oracles nor routes says anything (section 4, last line)."""
    candidates = [name for name, m in markets.items() if m["asset"] == asset and m["venue"] == platform]
    if not candidates:
        candidates = [name for name, m in markets.items() if m["asset"] == asset]
    bottomless = [name for name in candidates if markets[name]["depth"] == INF]
    if bottomless:
        return [(name, 1.0 / len(bottomless)) for name in bottomless]
    total = sum(markets[name]["depth"] for name in candidates)
    if total == 0.0:
        return [(name, 1.0 / len(candidates)) for name in candidates]
    return [(name, markets[name]["depth"] / total) for name in candidates]


def read_oracle(tables: Tables, markets: dict[str, Row], platform: str, asset: str) -> tuple[float, Numbers]:
    """Return what the platform sees of the asset: a fixed part in USD and the weights of market prices."""
    fixed, found = 0.0, False
    weights: Numbers = defaultdict(float)
    for row in rows(tables, "oracles"):
        if (row["platform"], row["asset"]) == (platform, asset):
            found = True
            weight = cell(row, "weight", 1.0)
            if cell(row, "market", ""):
                weights[row["market"]] += weight
            else:
                fixed += weight * row["value"]
    return (fixed, dict(weights)) if found else (0.0, dict(default_weights(markets, platform, asset)))


def read_route(tables: Tables, markets: dict[str, Row], platform: str, asset: str) -> Numbers:
    """Return the shares of markets in what the platform sells of the asset."""
    shares: Numbers = defaultdict(float)
    found = False
    for row in rows(tables, "routes"):
        if (row["platform"], row["asset"]) == (platform, asset):
            found = True
            shares[row["market"]] += cell(row, "share", 1.0)
    return dict(shares) if found else dict(default_weights(markets, platform, asset))


def read_terms(tables: Tables, platform: str, mode: str, asset: str) -> tuple[float, float, float]:
    """Return weight, maintenance and cost of exactly this platform, mode and asset; zeros without a row."""
    for row in rows(tables, "terms"):
        if (row["platform"], cell(row, "mode", ""), row["asset"]) == (platform, mode, asset):
            return cell(row, "weight", 0.0), cell(row, "maintenance", 0.0), cell(row, "cost", 0.0)
    return 0.0, 0.0, 0.0


def read_accounts(tables: Tables, nodes: dict[str, Row]) -> dict[str, Row]:
    """Return the accounts; owner_node is empty unless the owner is a node."""
    accounts = {}
    for row in rows(tables, "accounts"):
        owner = cell(row, "owner", row["account"])
        accounts[row["account"]] = {
            "platform": row["platform"],
            "owner_node": owner if owner in nodes else "",
            "mode": cell(row, "mode", ""),
            "cash": cell(row, "cash", 0.0),
            "call_policy": cell(row, "call_policy", "none"),
            "stop_loss": cell(row, "stop_loss", None),
        }
    return accounts


def read_holdings(tables: Tables, markets: dict[str, Row], accounts: dict[str, Row]) -> dict[str, list[Row]]:
    """Return the positions of every account with their terms, oracle and route."""
    holdings: dict[str, list[Row]] = {name: [] for name in accounts}
    for row in rows(tables, "positions"):
        account = accounts[row["account"]]
        platform, asset = account["platform"], row["asset"]
        weight, maintenance, cost = read_terms(tables, platform, account["mode"], asset)
        fixed, oracle = read_oracle(tables, markets, platform, asset)
        holdings[row["account"]].append(
            {
                "asset": asset,
                "side": cell(row, "side", "collateral"),
                "n": row["quantity"],
                "entry": cell(row, "entry_price", 0.0),
                "w": cell(row, "weight", weight),
                "mu": cell(row, "maintenance", maintenance),
                "c": cost,
                "fixed": fixed,
                "oracle": oracle,
                "route": read_route(tables, markets, platform, asset),
            }
        )
    return holdings


def read_quotes(tables: Tables) -> list[Row]:
    """Return the quotes in row order."""
    return [
        {
            "account": row["account"],
            "market": row["market"],
            "depth": row["depth"],
            "full_at": cell(row, "full_at", 1.0),
            "withdrawn_at": cell(row, "withdrawn_at", 0.5),
        }
        for row in rows(tables, "quotes")
    ]


def read_system(tables: Tables, scenario: Mapping[str, Any]) -> System:
    """Return everything resolved."""
    nodes = read_nodes(tables)
    markets = read_markets(tables, scenario)
    accounts = read_accounts(tables, nodes)
    # sorted is stable: table order within a priority
    calls = sorted(rows(tables, "funding"), key=lambda row: cell(row, "priority", 1.0))
    transfers = scenario.get("arbitrage")
    transfers = 1.0 if transfers is None else transfers
    links = [(row["market_a"], row["market_b"], row["depth"] * transfers) for row in rows(tables, "arbitrage")]
    return System(
        nodes=nodes,
        issuers={row["asset"]: cell(row, "issuer", "") for row in rows(tables, "assets")},
        markets=markets,
        accounts=accounts,
        holdings=read_holdings(tables, markets, accounts),
        claims=[(row["creditor"], row["debtor"], row["amount"]) for row in rows(tables, "claims")],
        quotes=read_quotes(tables),
        funding=[(row["account"], row["source"]) for row in calls],
        links=[link for link in links if link[2] > 0.0],
        losses=dict(scenario.get("losses") or {}),
        pegs_first=order_of_pegs(markets),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Price impact (section 3)


def exp(value: float) -> float:
    """Return e to the value, infinite where it overflows."""
    return math.exp(value) if value < 709.0 else INF


def impact(kind: str, x: float) -> float:
    """Return g(x), the log drop that sales of x times the depth cause, before the floor."""
    if x <= 0.0 or kind == "exponential":
        return x * ONE_PER_CENT
    if kind == "linear":
        return -math.log(1.0 - 0.01 * x) if x < 100.0 else INF
    if kind == "sqrt":
        return -math.log(1.0 - 0.01 * math.sqrt(x)) if x < 10_000.0 else INF
    if kind == "constant_product":
        return 2.0 * math.log(1.0 + x * POOL)
    raise ValueError(kind)


def pushed(kind: str, x: float, floor: float) -> float:
    """Return G = min(g(x), −ln floor)."""
    return min(impact(kind, x), -math.log(floor))


def reaches_floor(kind: str, floor: float) -> float:
    """Return the x from which on the floor holds the price."""
    if kind == "exponential":
        return -math.log(floor) / ONE_PER_CENT
    if kind == "linear":
        return 100.0 * (1.0 - floor)
    if kind == "sqrt":
        return (100.0 * (1.0 - floor)) ** 2
    return (float(floor**-0.5) - 1.0) / POOL


def average(kind: str, x: float, floor: float) -> float:
    """Return (1/x)∫₀ˣ exp(−min(g(t), −ln floor)) dt in closed form: the average price as a share of the reference."""
    if x == 0.0:
        return 1.0
    if x == INF:
        return floor
    if x < 0.0:
        return average_before_floor("exponential", x)
    capped = reaches_floor(kind, floor)
    if x <= capped:
        return average_before_floor(kind, x)
    head = capped * average_before_floor(kind, capped) if capped > 0.0 else 0.0
    return (head + (x - capped) * floor) / x


def average_before_floor(kind: str, x: float) -> float:
    """Return (1/x)∫₀ˣ exp(−g(t)) dt in closed form, x ≠ 0."""
    if kind == "exponential":
        overflows = -ONE_PER_CENT * x > 709.0
        return INF if overflows else -math.expm1(-ONE_PER_CENT * x) / (ONE_PER_CENT * x)
    if kind == "linear":
        return 1.0 - 0.005 * x
    if kind == "sqrt":
        return 1.0 - 0.02 / 3.0 * math.sqrt(x)
    return 1.0 / (1.0 + POOL * x)


def vwap_by_quadrature(kind: str, x: float, floor: float, panels: int = 400) -> float:
    """Return the same average by composite Simpson, on the two pieces that the cap makes.

    With t = x·s² the root of the sqrt kind is smooth at 0; the cap is found by bisection on g, not by its inverse.
    """
    if x == 0.0:
        return 1.0
    if x == INF:
        return floor
    cap = -math.log(floor)

    def integrand(s: float) -> float:
        return math.exp(-min(impact(kind, x * s * s), cap)) * 2.0 * s

    low, high = 0.0, 1.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if impact(kind, x * middle * middle) < cap else (low, middle)
    return simpson(integrand, 0.0, high, panels) + simpson(integrand, high, 1.0, panels)


def simpson(integrand: Any, start: float, end: float, panels: int) -> float:
    """Return the integral by Simpson's rule on equal panels (an even number)."""
    step = (end - start) / panels
    inner = [(4.0 if i % 2 else 2.0) * integrand(start + i * step) for i in range(1, panels)]
    return math.fsum([integrand(start), *inner, integrand(end)]) * step / 3.0


# ---------------------------------------------------------------------------------------------------------------------
# Markets: depth, net sales, arbitrage, prices (section 3)


def depths(system: System, eta: list[float]) -> Numbers:
    """Return D of every market."""
    result = {}
    for name, market in system.markets.items():
        depth = market["depth"]
        for quote, withdrawn in zip(system.quotes, eta, strict=True):
            if quote["market"] == name:
                depth += quote["depth"] * (1.0 - withdrawn)
        result[name] = INF if depth == INF else market["factor"] * depth
    return result


def net_sales(system: System, lam: Numbers) -> Numbers:
    """Return Q of every market, in USD at opening prices."""
    sales = dict.fromkeys(system.markets, 0.0)
    for account, positions in system.holdings.items():
        for position in positions:
            sign = -1.0 if position["side"] == "debt" else 1.0
            for market, share in position["route"].items():
                sales[market] += lam[account] * sign * position["n"] * system.markets[market]["price"] * share
    return sales


def neighbours(system: System) -> dict[str, Numbers]:
    """Return the links of every market."""
    links: dict[str, Numbers] = {name: defaultdict(float) for name in system.markets}
    for one, other, depth in system.links:
        if one != other:
            links[one][other] += depth
            links[other][one] += depth
    return links


def scaled_sales(system: System, depth: Numbers, sales: Numbers) -> Numbers:
    """Return x = (diag(D) + L)⁻¹Q, component by component of the markets of finite depth."""
    links = neighbours(system)
    x: Numbers = {name: 0.0 for name in system.markets if depth[name] == INF}
    for start in system.markets:
        if start in x:
            continue
        component = [start]
        for name in component:
            component += [m for m in links[name] if depth[m] < INF and m not in component]
        held = any(depth[m] == INF for name in component for m in links[name])
        if held or any(depth[name] > 0.0 for name in component):
            x.update(solve_component(component, depth, sales, links))
        else:
            net = math.fsum(sales[name] for name in component)
            x.update(dict.fromkeys(component, INF if net > 0.0 else 0.0))
    return x


def solve_component(component: list[str], depth: Numbers, sales: Numbers, links: dict[str, Numbers]) -> Numbers:
    """Return x on one component, its neighbours of infinite depth held at 0."""
    matrix = []
    for name in component:
        row = [-links[name].get(other, 0.0) for other in component]
        row[component.index(name)] = depth[name] + math.fsum(links[name].values())
        matrix.append([*row, sales[name]])
    return dict(zip(component, eliminate(matrix), strict=True))


def eliminate(matrix: list[list[float]]) -> list[float]:
    """Return the solution of an augmented system by Gaussian elimination with partial pivoting."""
    size = len(matrix)
    matrix = [list(row) for row in matrix]
    for k in range(size):
        pivot = max(range(k, size), key=lambda i: abs(matrix[i][k]))
        matrix[k], matrix[pivot] = matrix[pivot], matrix[k]
        for i in range(k + 1, size):
            ratio = matrix[i][k] / matrix[k][k]
            for j in range(k, size + 1):
                matrix[i][j] -= ratio * matrix[k][j]
    solution = [0.0] * size
    for k in reversed(range(size)):
        known = math.fsum(matrix[k][j] * solution[j] for j in range(k + 1, size))
        solution[k] = (matrix[k][size] - known) / matrix[k][k]
    return solution


def reference_drop(system: System, name: str, delta: Numbers, theta: Numbers) -> float:
    """Return ρ of one market: own shock, peg, issuer."""
    market = system.markets[name]
    drop: float = market["shock"]
    if market["pegged_to"]:
        drop += delta[market["pegged_to"]]
    issuer = system.issuers[market["asset"]]
    if issuer:
        drop += -math.log(1.0 - theta[issuer]) if theta[issuer] < 1.0 else INF
    return drop


# ---------------------------------------------------------------------------------------------------------------------
# Accounts (sections 4 to 8)


def lines_of(system: System, name: str, price: Numbers, vwap: Numbers, theta: Numbers) -> Numbers:
    """Return W, D, M, E, V of an account, and its gross assets (section 5)."""
    account = system.accounts[name]
    cash = account["cash"]
    claim = math.fsum(amount * (1.0 - theta[debtor]) for who, debtor, amount in system.claims if who == name)
    line = {"W": max(cash, 0.0), "D": max(-cash, 0.0), "M": 0.0, "E": cash + claim, "V": cash + claim}
    line["gross"] = max(cash, 0.0) + claim
    for position in system.holdings[name]:
        n, entry, cost = position["n"], position["entry"], position["c"]
        seen = position["fixed"] + sum(weight * price[m] for m, weight in position["oracle"].items())
        mark = sum(share * price[m] for m, share in position["route"].items())
        paid = sum(share * vwap[m] for m, share in position["route"].items())
        if position["side"] == "collateral":
            line["W"] += position["w"] * n * seen
            line["E"] += n * mark
            line["V"] += (1.0 - cost) * n * paid
            line["gross"] += n * mark
        elif position["side"] == "debt":
            line["D"] += n * seen
            line["M"] += position["mu"] * n * seen
            line["E"] -= n * mark
            line["V"] -= n * paid
        else:
            line["W"] += n * (seen - entry)
            line["M"] += position["mu"] * abs(n) * seen
            line["E"] += n * (mark - entry)
            line["V"] += n * (paid - entry) - cost * abs(n) * paid
            line["gross"] += abs(n) * mark
    return line


def surplus(node: Row, line: Numbers, level: float) -> float:
    """Return S(level) (section 5)."""
    if node["margin_rule"] == "ltv":
        return line["W"] - level * line["D"] - line["M"]
    return line["W"] - line["D"] - level * line["M"]


def health(node: Row, line: Numbers) -> float:
    """Return the level at which the surplus is zero."""
    if node["margin_rule"] == "ltv":
        numerator, denominator = line["W"] - line["M"], line["D"]
    else:
        numerator, denominator = line["W"] - line["D"], line["M"]
    if denominator == 0.0:
        return INF if numerator >= 0.0 else -INF
    return numerator / denominator


def leverage(line: Numbers) -> float:
    """Return gross assets over equity, NaN without equity."""
    return line["gross"] / line["E"] if line["E"] > 0.0 else math.nan


def restore(shortfall: float, value: float) -> float:
    """Return the share whose sale brings a (negative) surplus back to zero (section 6)."""
    if shortfall >= 0.0:
        return 0.0
    if value <= 0.0:
        return 1.0
    return -shortfall / (value - shortfall)


def funded_surplus(node: Row, line: Numbers, level: float) -> float:
    """Return S(level) with the funds received, as what was asked for less what is still missing.

    A call that is met in full leaves its target exactly; adding the funds to W would leave it within rounding only,
    and an ulp below the liquidation level is a breach.
    """
    margin = surplus(node, line, level)
    return (margin + line["asked"]) - line["missing"] if line["received"] > 0.0 else margin


def liquidation(node: Row, line: Numbers) -> float:
    """Return the share that the platform closes, after funds have been received (section 6)."""
    if not funded_surplus(node, line, node["liquidation_level"]) < 0.0:
        return 0.0
    if node["close_rule"] == "full":
        return 1.0
    value, debt = line["V"] + line["received"], line["D"]
    share = restore(funded_surplus(node, line, max(node["target_level"], node["liquidation_level"])), value)
    if node["close_rule"] == "restore":
        return share
    if funded_surplus(node, line, node["full_close_level"]) < 0.0 or value + debt <= 0.0:
        return 1.0
    return float(max(share, min(1.0, node["close_factor"] * debt / (value + debt))))


@dataclass
class Calls:
    """Margin calls and what was done about them (section 7)."""

    called: list[str] = field(default_factory=list)
    need: Numbers = field(default_factory=dict)
    missing: Numbers = field(default_factory=dict)
    delever: Numbers = field(default_factory=dict)
    unwind: Numbers = field(default_factory=dict)
    received: Numbers = field(default_factory=dict)
    given: Numbers = field(default_factory=dict)


def answer_calls(system: System, lines: dict[str, Numbers]) -> Calls:
    """Return who is called, who sells some of the account, and who raises how much from whom."""
    calls = Calls(
        delever=dict.fromkeys(lines, 0.0),
        unwind=dict.fromkeys(lines, 0.0),
        received=dict.fromkeys(lines, 0.0),
        given=dict.fromkeys(lines, 0.0),
    )
    for name, line in lines.items():
        account = system.accounts[name]
        node = system.nodes[account["platform"]]
        if account["call_policy"] == "none" or not surplus(node, line, node["call_level"]) < 0.0:
            continue
        calls.called.append(name)
        shortfall = surplus(node, line, max(node["target_level"], node["call_level"]))
        if account["call_policy"] == "delever":
            calls.delever[name] = restore(shortfall, line["V"])
        else:
            calls.need[name] = -shortfall
    raise_cash(system, lines, calls)
    return calls


def raise_cash(system: System, lines: dict[str, Numbers], calls: Calls) -> None:
    """Let the funding sources give, in one pass by priority, and note the share of each that is unwound."""
    calls.missing = need = dict(calls.need)
    for name, source in system.funding:
        if need.get(name, 0.0) <= 0.0:
            continue
        value = lines[source]["V"]
        left = max(0.0, value - calls.given[source])
        if need[name] > left:
            calls.unwind[source] = 1.0
        amount = min(need[name], left)
        if amount == 0.0:
            continue
        need[name] -= amount
        calls.received[name] += amount
        calls.given[source] += amount
        calls.unwind[source] = max(calls.unwind[source], min(1.0, calls.given[source] / value))


def liquidated_share(system: System, name: str, line: Numbers, before: Numbers, calls: Calls) -> float:
    """Return the largest of the four reasons to sell: delever, funding, stop-loss, liquidation."""
    account = system.accounts[name]
    share = max(calls.delever[name], calls.unwind[name])
    if account["stop_loss"] is not None and line["E"] < account["stop_loss"] * before["E"]:
        share = 1.0
    asked, missing = calls.need.get(name, 0.0), calls.missing.get(name, 0.0)
    funded = {**line, "received": calls.received[name], "asked": asked, "missing": missing}
    return max(share, liquidation(system.nodes[account["platform"]], funded))


def withdrawn(quote: Row, line: Numbers, before: Numbers, lam: float) -> float:
    """Return the share of a quote that its maker has taken away (section 8)."""
    if before["E"] <= 0.0:
        return 1.0
    gap = (quote["full_at"] - line["E"] / before["E"]) / (quote["full_at"] - quote["withdrawn_at"])
    return float(max(lam, min(1.0, max(0.0, gap))))


# ---------------------------------------------------------------------------------------------------------------------
# Losses (section 9)


def closed_value(line: Numbers, lam: float) -> float:
    """Return X = (1 − λ)E + λV, leaving out a side of weight zero."""
    kept = (1.0 - lam) * line["E"] if lam < 1.0 else 0.0
    return kept + (lam * line["V"] if lam > 0.0 else 0.0)


def deficit(line: Numbers, lam: float, received: float) -> float:
    """Return β, what a fully closed account does not pay."""
    return max(0.0, -(line["V"] + received)) if lam >= 1.0 else 0.0


def equity_after(line: Numbers, lam: float, calls: Calls, name: str) -> float:
    """Return what is left to the owner."""
    return max(0.0, closed_value(line, lam) + calls.received[name] - calls.given[name])


def node_losses(
    system: System, lines: dict[str, Numbers], opening: dict[str, Numbers], calls: Calls, lam: Numbers, theta: Numbers
) -> Numbers:
    """Return the loss of every node: external, deficits held, claims on others, accounts owned."""
    loss = {name: system.losses.get(name, 0.0) for name in system.nodes}
    for name, account in system.accounts.items():
        loss[account["platform"]] += deficit(lines[name], lam[name], calls.received[name])
        if account["owner_node"]:
            start = opening[name]["E"] + calls.received[name] - calls.given[name]
            loss[account["owner_node"]] += max(0.0, start - equity_after(lines[name], lam[name], calls, name))
    for creditor, debtor, amount in system.claims:
        if creditor in system.nodes:
            loss[creditor] += amount * theta[debtor]
    return loss


def haircut(node: Row, loss: float) -> float:
    """Return θ of a node with this loss."""
    beyond = loss - node["buffer"]
    if beyond <= 0.0 or node["liabilities"] <= 0.0:
        return 0.0
    return float(1.0 - node["recovery_rate"] * max(0.0, 1.0 - beyond / node["liabilities"]))


# ---------------------------------------------------------------------------------------------------------------------
# The round (section 10)


@dataclass
class State:
    """The unknowns, and the ρ and x that the current δ is made of (the average price needs them apart)."""

    delta: Numbers
    lam: Numbers
    eta: list[float]
    theta: Numbers
    rho: Numbers
    x: Numbers


def opening_state(system: System) -> State:
    """Return the start: shocks and pegs alone."""
    theta = dict.fromkeys(system.nodes, 0.0)
    delta: Numbers = {}
    for name in system.pegs_first:
        delta[name] = reference_drop(system, name, delta, theta)
    x = dict.fromkeys(system.markets, 0.0)
    return State(delta, dict.fromkeys(system.accounts, 0.0), [0.0] * len(system.quotes), theta, dict(delta), x)


def prices(system: System, state: State) -> tuple[Numbers, Numbers]:
    """Return terminal and average prices."""
    price, vwap = {}, {}
    for name, market in system.markets.items():
        price[name] = market["price"] * exp(-state.delta[name])
        mean = average(market["impact"], state.x[name], market["floor"])
        vwap[name] = market["price"] * exp(-state.rho[name]) * mean
    return price, vwap


def all_lines(system: System, price: Numbers, vwap: Numbers, theta: Numbers) -> dict[str, Numbers]:
    """Return the lines of all accounts."""
    return {name: lines_of(system, name, price, vwap, theta) for name in system.accounts}


def opening_lines(system: System) -> dict[str, Numbers]:
    """Return the lines of all accounts before anything happened."""
    price = {name: market["price"] for name, market in system.markets.items()}
    return all_lines(system, price, price, dict.fromkeys(system.nodes, 0.0))


def one_round(system: System, state: State, opening: dict[str, Numbers]) -> tuple[State, list[str]]:
    """Return the next state, all of it from the old prices, and the accounts that were called."""
    price, vwap = prices(system, state)
    lines = all_lines(system, price, vwap, state.theta)
    calls = answer_calls(system, lines)
    lam = {
        name: max(state.lam[name], liquidated_share(system, name, lines[name], opening[name], calls)) for name in lines
    }
    eta = [
        max(old, withdrawn(quote, lines[quote["account"]], opening[quote["account"]], lam[quote["account"]]))
        for quote, old in zip(system.quotes, state.eta, strict=True)
    ]
    loss = node_losses(system, lines, opening, calls, lam, state.theta)
    theta = {name: max(state.theta[name], haircut(node, loss[name])) for name, node in system.nodes.items()}
    x = scaled_sales(system, depths(system, eta), net_sales(system, lam))
    rho = {name: reference_drop(system, name, state.delta, theta) for name in system.markets}
    delta = {name: rho[name] + pushed(m["impact"], x[name], m["floor"]) for name, m in system.markets.items()}
    return State(delta, lam, eta, theta, rho, x), calls.called


def largest_step(old: State, new: State) -> float:
    """Return the largest move of any unknown; two infinities are the same place."""
    pairs = [*zip(old.eta, new.eta, strict=True)]
    for one, other in ((old.delta, new.delta), (old.lam, new.lam), (old.theta, new.theta)):
        pairs += [(one[name], other[name]) for name in one]
    return max((0.0 if one == other else abs(one - other) for one, other in pairs), default=0.0)


# ---------------------------------------------------------------------------------------------------------------------
# The solution


@dataclass
class Result:
    """What comes out (section 11), as dicts."""

    markets: dict[str, Numbers]
    accounts: dict[str, dict[str, Any]]
    nodes: dict[str, Numbers]
    quotes: list[float]
    totals: Numbers
    rounds: int
    converged: bool
    step: float


def solve(
    tables: Tables, scenario: Mapping[str, Any] | None = None, tol: float = 1e-12, max_rounds: int = 20_000
) -> Result:
    """Return the least fixed point, by rounds from zero until no unknown moves by more than tol."""
    system = read_system(tables, scenario or {})
    opening = opening_lines(system)
    state = opening_state(system)
    called: dict[str, int] = {}
    liquidated: dict[str, int] = {}
    rounds, step = 0, INF
    while rounds < max_rounds and not step <= tol:
        rounds += 1
        new, names = one_round(system, state, opening)
        step, state = largest_step(state, new), new
        for name in names:
            called.setdefault(name, rounds)
        for name, share in state.lam.items():
            if share > 0.0:
                liquidated.setdefault(name, rounds)
    result = report(system, state, opening)
    result.rounds, result.step, result.converged = rounds, step, step <= tol
    for name, row in result.accounts.items():
        row["called_round"], row["liquidated_round"] = called.get(name), liquidated.get(name)
    return result


def settled(system: System, state: State) -> State:
    """Return the state with everything but λ, η, θ computed again from these, pegs in their order."""
    x = scaled_sales(system, depths(system, state.eta), net_sales(system, state.lam))
    rho: Numbers = {}
    delta: Numbers = {}
    for name in system.pegs_first:
        market = system.markets[name]
        rho[name] = reference_drop(system, name, delta, state.theta)
        delta[name] = rho[name] + pushed(market["impact"], x[name], market["floor"])
    return State(delta, state.lam, state.eta, state.theta, rho, x)


def report(system: System, state: State, opening: dict[str, Numbers]) -> Result:
    """Return the solution recomputed once from the final (λ, η, θ)."""
    state = settled(system, state)
    price, vwap = prices(system, state)
    lines = all_lines(system, price, vwap, state.theta)
    calls = answer_calls(system, lines)
    loss = node_losses(system, lines, opening, calls, state.lam, state.theta)
    nodes = {
        name: {"loss": loss[name], "buffer_used": min(loss[name], node["buffer"]), "haircut": state.theta[name]}
        for name, node in system.nodes.items()
    }
    return Result(
        markets=report_markets(system, state, price, vwap),
        accounts={name: report_account(system, name, state, lines[name], opening[name], calls) for name in lines},
        nodes=nodes,
        quotes=list(state.eta),
        totals=add_up(system, state, lines, opening, calls, loss),
        rounds=0,
        converged=False,
        step=INF,
    )


def report_markets(system: System, state: State, price: Numbers, vwap: Numbers) -> dict[str, Numbers]:
    """Return the markets; depth_before is that of the tables, quotes included, without the scenario's factors."""
    depth, sold = depths(system, state.eta), net_sales(system, state.lam)
    result = {}
    for name, market in system.markets.items():
        quoted = sum(quote["depth"] for quote in system.quotes if quote["market"] == name)
        result[name] = {
            "price": price[name],
            "drop": 1.0 - exp(-state.delta[name]),
            "sold": sold[name],
            "depth": depth[name],
            "depth_before": market["depth"] + quoted,
            "delta": state.delta[name],
            "vwap": vwap[name],
            "x": state.x[name],
        }
    return result


def report_account(
    system: System, name: str, state: State, line: Numbers, before: Numbers, calls: Calls
) -> dict[str, Any]:
    """Return one account, without the rounds in which things happened to it."""
    node = system.nodes[system.accounts[name]["platform"]]
    lam = state.lam[name]
    return {
        **{key: line[key] for key in "WDMEV"},
        "equity_before": before["E"],
        "equity_after": equity_after(line, lam, calls, name),
        "liquidated": lam,
        "deficit": deficit(line, lam, calls.received[name]),
        "received": calls.received[name],
        "given": calls.given[name],
        "health": health(node, line),
        "leverage": leverage(line),
        "health_before": health(node, before),
        "leverage_before": leverage(before),
    }


def outside_liabilities(system: System, node: str) -> float:
    """Return the liabilities of a node that nobody inside the system holds, by claim or by token."""
    held = math.fsum(amount for _, debtor, amount in system.claims if debtor == node)
    tokens = 0.0
    for positions in system.holdings.values():
        for position in positions:
            if system.issuers[position["asset"]] == node:
                sign = -1.0 if position["side"] == "debt" else 1.0
                unit = sum(share * system.markets[m]["price"] for m, share in position["route"].items())
                tokens += sign * position["n"] * unit
    return float(max(0.0, system.nodes[node]["liabilities"] - held - max(0.0, tokens)))


def add_up(
    system: System,
    state: State,
    lines: dict[str, Numbers],
    opening: dict[str, Numbers],
    calls: Calls,
    loss: Numbers,
) -> Numbers:
    """Return the totals, every dollar once (section 11)."""
    total = dict.fromkeys(("account_loss", "buffer_loss", "outside_loss", "deficit", "hidden_bad_debt", "gains"), 0.0)
    for name, account in system.accounts.items():
        lam, line, start = state.lam[name], lines[name], opening[name]["E"]
        if not account["owner_node"]:
            had = max(0.0, start + calls.received[name] - calls.given[name])
            total["account_loss"] += max(0.0, had - equity_after(line, lam, calls, name))
        total["deficit"] += deficit(line, lam, calls.received[name])
        if lam < 1.0:
            total["hidden_bad_debt"] += max(0.0, -(line["V"] + calls.received[name]))
        total["gains"] += max(0.0, closed_value(line, lam) - start)
    for name, node in system.nodes.items():
        total["buffer_loss"] += min(loss[name], node["buffer"])
        total["outside_loss"] += state.theta[name] * outside_liabilities(system, name)
        total["outside_loss"] += max(0.0, loss[name] - node["buffer"] - node["liabilities"])
    total["loss"] = total["account_loss"] + total["buffer_loss"] + total["outside_loss"]
    total["liquidated"] = liquidated_dollars(system, state.lam)
    return total


def liquidated_dollars(system: System, lam: Numbers) -> float:
    """Return the collateral and perps closed, in USD at opening prices."""
    return math.fsum(
        lam[name] * abs(position["n"]) * system.markets[market]["price"] * share
        for name, positions in system.holdings.items()
        for position in positions
        if position["side"] != "debt"
        for market, share in position["route"].items()
    )
