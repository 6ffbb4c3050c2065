"""A deliberately naive exact attribution, written from attribution.md alone.

Every coefficient of the loss graph is a number in a dict, every node a pair like ``("price", "ex0:BTC")``, and the last
step one dense solve; nothing is eliminated, grouped or cached. Like the slow solver, whose terminal state and lines it
starts from, it takes nothing from the package: it exists to disagree.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests import oracle
from tests.oracle import INF, Numbers, Row, System, Tables

Node = tuple[str, str | int]
Parts = dict[Node, float]

OVERSHOOT = 1e-9
"""What the ratchet may hold above the terminal candidate before it is called an overshoot."""
ALMOST_ALL = 1.0 - 2.0**-53
"""The largest haircut below 1: read in the place of 1, whose log drop is infinite."""
PASS = ("mark", "proceeds", "owned", "haircut")
"""Edges that revalue a loss into its bearer; every other edge is a channel."""
OF_SOURCES = {"shock": "own shock", "depth": "depth", "loss": "external"}
"""The channel of a source by the first word of its name; `opening` and `overshoot` are their own."""
_EDGES = ("peg", "issuer", "sales", "depth", "cost", "claims", "deficit")
CHANNELS = ("own shock", *_EDGES, "external", "opening", "overshoot")


@dataclass
class Attribution:
    """The graph, the adjoint, and what follows from them."""

    nodes: list[Node]
    u: Parts
    M: dict[tuple[Node, Node], float]
    types: dict[tuple[Node, Node], Numbers]
    c: dict[tuple[Node, str], float]
    v: Parts
    y: Parts
    loss: float
    sources: Numbers
    channels: Numbers
    flows: Numbers
    mitigated: Parts
    rho: float
    det_sign: float
    sum_abs_shares: float
    gains: float
    hidden: float
    balance: Numbers
    residuals: Numbers


# ---------------------------------------------------------------------------------------------------------------------
# The terminal state: everything recomputed once from (λ, η, θ)


@dataclass
class Unknowns:
    """Final λ by account, η in the order of the rows of quotes, θ by node."""

    lam: Numbers
    eta: list[float]
    theta: Numbers


@dataclass
class Terminal:
    """The solution, and everything that the coefficients are made of."""

    system: System
    scenario: Mapping[str, Any]
    opening: dict[str, Numbers]
    lam: Numbers
    eta: list[float]
    theta: Numbers
    depth: Numbers
    x: Numbers
    push: Numbers
    paid: Numbers
    delta: Numbers
    sigma: Numbers
    lines: dict[str, Numbers]
    calls: oracle.Calls
    layers: bool
    layered: set[Node] = field(default_factory=set)
    asks: dict[str, Numbers] = field(default_factory=lambda: defaultdict(dict))
    takes: dict[str, Numbers] = field(default_factory=lambda: defaultdict(dict))


def terminal(tables: Tables, scenario: Mapping[str, Any], unknowns: Unknowns, layers: bool) -> Terminal:
    """Return D, Q, x, δ, v, lines, calls and funds, in this order, from the unknowns."""
    system = oracle.read_system(tables, scenario)
    lam, eta = unknowns.lam, unknowns.eta
    theta = {name: min(value, ALMOST_ALL) for name, value in unknowns.theta.items()}
    nothing = dict.fromkeys(system.markets, 0.0)
    state = oracle.settled(system, oracle.State(nothing, lam, eta, theta, nothing, nothing))
    price, vwap = oracle.prices(system, state)
    lines = oracle.all_lines(system, price, vwap, theta)
    push = {name: oracle.pushed(m["impact"], state.x[name], m["floor"]) for name, m in system.markets.items()}
    paid = {name: log_of_average(m, state.x[name]) for name, m in system.markets.items()}
    ready = Terminal(
        system=system,
        scenario=scenario,
        opening=oracle.opening_lines(system),
        lam=lam,
        eta=eta,
        theta=theta,
        depth=oracle.depths(system, eta),
        x=state.x,
        push=push,
        paid=paid,
        delta=state.delta,
        sigma={name: state.rho[name] + paid[name] for name in system.markets},
        lines=lines,
        calls=oracle.answer_calls(system, lines),
        layers=layers,
    )
    note_requests(ready)
    return ready


def log_of_average(market: Row, x: float) -> float:
    """Return H; the clip takes away what rounding leaves on the wrong side of zero."""
    drop = -math.log(oracle.average(market["impact"], x, market["floor"]))
    return max(drop, 0.0) if x >= 0.0 else min(drop, 0.0)


def note_requests(t: Terminal) -> None:
    """Note what every called account asks of every source when its turn comes, and what it takes."""
    need = dict(t.calls.need)
    given: Numbers = defaultdict(float)
    for name, source in t.system.funding:
        if need.get(name, 0.0) <= 0.0:
            continue
        amount = min(need[name], max(0.0, t.lines[source]["V"] - given[source]))
        t.asks[source][name] = t.asks[source].get(name, 0.0) + need[name]
        t.takes[source][name] = t.takes[source].get(name, 0.0) + amount
        need[name] -= amount
        given[source] += amount


def kappa(drop: float) -> float:
    """Return (1 − e^−t)/t, 1 at 0."""
    return -math.expm1(-drop) / drop if drop != 0.0 else 1.0


def owed(t: Terminal, name: str) -> float:
    """Return E0 + r − g, all that the owner can lose."""
    return t.opening[name]["E"] + t.calls.received[name] - t.calls.given[name]


# ---------------------------------------------------------------------------------------------------------------------
# The graph


@dataclass
class Graph:
    """Nodes with their values, edges {(effect, cause): {type: coefficient}} and sources; only nodes that are not 0."""

    u: Parts
    edges: dict[tuple[Node, Node], Numbers] = field(default_factory=dict)
    sources: dict[tuple[Node, str], float] = field(default_factory=lambda: defaultdict(float))
    mitigated: Parts = field(default_factory=lambda: defaultdict(float))

    def cause(self, effect: Node, cause: Node, coefficient: float, kind: str) -> None:
        """Add an edge between two nodes of the graph."""
        if self.u.get(effect) and self.u.get(cause) and coefficient != 0.0:
            types = self.edges.setdefault((effect, cause), defaultdict(float))
            types[kind] += coefficient

    def source(self, node: Node, name: str, value: float) -> None:
        """Add a source to a node of the graph."""
        if self.u.get(node) and value != 0.0:
            self.sources[node, name] += value


def build(t: Terminal) -> Graph:
    """Return the graph: values first, from causes to effects, then the rows."""
    u: Parts = {("price", name): drop for name, drop in t.delta.items()}
    u |= {("sale", name): drop for name, drop in t.sigma.items()}
    u |= {("need", name): amount for name, amount in t.calls.need.items()}
    u |= {("lam", name): share for name, share in t.lam.items()}
    u |= {("eta", row): share for row, share in enumerate(t.eta)}
    u |= {("theta", name): cut for name, cut in t.theta.items()}
    for name in t.system.accounts:
        fallen = sum(parts[j] * u[j] for parts in losing(t, name).values() for j in parts)
        u["loss", name] = min(max(fallen, 0.0), max(0.0, owed(t, name)))
        u["short", name] = oracle.deficit(t.lines[name], t.lam[name], t.calls.received[name])
    for name in t.system.nodes:
        u["node", name] = node_loss(t, name, u)
    graph = Graph({node: value for node, value in u.items() if value != 0.0})
    for add in (add_prices, add_needs, add_shares, add_quotes, add_losses, add_nodes):
        add(t, graph)
    lost = {node for node in unreached(graph) if node[0] in ("lam", "eta")}
    if lost and not t.layers and not t.layered:
        t.layered |= lost
        return build(t)
    hold_circles(graph)
    return graph


def unreached(graph: Graph) -> set[Node]:
    """Return the nodes that no source reaches."""
    reached = {node for node, _ in graph.sources}
    while more := {i for i, j in graph.edges if j in reached and i not in reached}:
        reached |= more
    return set(graph.u) - reached


def hold_circles(graph: Graph) -> None:
    """Put down to the ratchet the λ, η, θ that no source reaches: what set off such a circle has since reversed.

    It takes a short or a hedge: a book that is closed, and whose own closing keeps the price where it has to be.
    """
    for node in sorted(unreached(graph), key=str):
        value = graph.u[node]
        if node[0] in ("lam", "eta", "theta"):
            graph.edges = {pair: types for pair, types in graph.edges.items() if pair[0] != node}
            graph.source(node, "overshoot", value)


def node_loss(t: Terminal, name: str, u: Parts) -> float:
    """Return Y: write-offs, deficits held, claims on others, accounts owned."""
    held = [u["short", a] for a, row in t.system.accounts.items() if row["platform"] == name]
    owned = [u["loss", a] for a, row in t.system.accounts.items() if row["owner_node"] == name]
    claims = [amount * t.theta[debtor] for creditor, debtor, amount in t.system.claims if creditor == name]
    return math.fsum([t.system.losses.get(name, 0.0), *held, *owned, *claims])


# ---------------------------------------------------------------------------------------------------------------------
# Prices and sales


def add_prices(t: Terminal, graph: Graph) -> None:
    """Add the rows of terminal prices and of what sellers get."""
    for name in t.system.markets:
        for kind, pushed in (("price", t.push[name]), ("sale", t.paid[name])):
            add_reference(t, graph, (kind, name))
            if t.x[name] != 0.0:
                add_push(t, graph, (kind, name), pushed)


def add_reference(t: Terminal, graph: Graph, node: Node) -> None:
    """Add own shock, peg and issuer."""
    name = str(node[1])
    market = t.system.markets[name]
    shocks = t.scenario.get("shocks") or {}
    key = name if name in shocks else market["asset"]
    graph.source(node, f"shock:{key}", market["shock"])
    if market["pegged_to"]:
        graph.cause(node, ("price", market["pegged_to"]), 1.0, "peg")
    issuer = t.system.issuers[market["asset"]]
    if issuer and t.theta[issuer] > 0.0:
        graph.cause(node, ("theta", issuer), -math.log(1.0 - t.theta[issuer]) / t.theta[issuer], "issuer")


def add_push(t: Terminal, graph: Graph, node: Node, pushed: float) -> None:
    """Add sales, withdrawn depth and the scenario's depth, each its part of G (or H)."""
    name = str(node[1])
    factors, plus = depth_factors(t, name)
    quoted = math.fsum(quote["depth"] for quote in t.system.quotes if quote["market"] == name)
    before = plus * (t.system.markets[name]["depth"] + quoted)
    left = t.depth[name] / before if before > 0.0 else 1.0
    for account, share in flow_shares(t, name).items():
        graph.cause(node, ("lam", account), pushed * (1.0 + left) / 2.0 * share, "sales")
    if before == 0.0:
        return
    factor = t.system.markets[name]["factor"]
    for row, quote in enumerate(t.system.quotes):
        if quote["market"] == name:
            graph.cause(node, ("eta", row), pushed * factor * quote["depth"] / (2.0 * before), "depth")
    below = {key: value for key, value in factors.items() if value < 1.0}
    gone = pushed * (1.0 - factor / plus) / 2.0
    for key, share in log_shares(below).items():
        graph.source(node, f"depth:{key}", gone * share)


def depth_factors(t: Terminal, name: str) -> tuple[Numbers, float]:
    """Return the factors that apply to the market, and the product of those above 1."""
    market = t.system.markets[name]
    keys = (name, market["venue"], market["asset"])
    factors = {key: value for key, value in (t.scenario.get("depth") or {}).items() if key in keys}
    return factors, math.prod(value for value in factors.values() if value > 1.0)


def log_shares(factors: Numbers) -> Numbers:
    """Return shares in proportion to −ln(factor), equal over zeros if there are any."""
    zeros = [key for key, value in factors.items() if value == 0.0]
    if zeros:
        return dict.fromkeys(zeros, 1.0 / len(zeros))
    logs = {key: -math.log(value) for key, value in factors.items()}
    return {key: value / math.fsum(logs.values()) for key, value in logs.items()}


def flow_shares(t: Terminal, name: str) -> Numbers:
    """Return (Σ_k B_mk F_ak)/x of every account that sells, so that Σ λ·share = 1."""
    linked = [name]
    links = oracle.neighbours(t.system)
    for market in linked:
        linked += [other for other in links[market] if other not in linked]
    moved = {}
    for account, share in t.lam.items():
        if share > 0.0:
            one = {other: float(other == account) for other in t.lam}
            flow = oracle.net_sales(t.system, one)
            if t.x[name] == INF:
                moved[account] = math.fsum(flow[market] for market in linked)
            else:
                moved[account] = oracle.scaled_sales(t.system, t.depth, flow)[name]
    total = math.fsum(t.lam[account] * flow for account, flow in moved.items())
    return {account: flow / total for account, flow in moved.items()} if total != 0.0 else {}


# ---------------------------------------------------------------------------------------------------------------------
# Triggers


def surplus_parts(t: Terminal, name: str, level: float) -> Parts:
    """Return the surplus lost per unit of log drop of every market that the platform's oracles read."""
    rule = t.system.nodes[t.system.accounts[name]["platform"]]["margin_rule"]
    on_debt, on_margin = (level, 1.0) if rule == "ltv" else (1.0, level)
    parts: Parts = defaultdict(float)
    for position in t.system.holdings[name]:
        n, mu = position["n"], position["mu"]
        if position["side"] == "collateral":
            slope = position["w"] * n
        elif position["side"] == "debt":
            slope = -(on_debt + on_margin * mu) * n
        else:
            slope = n - on_margin * mu * abs(n)
        for market, weight in position["oracle"].items():
            parts["price", market] += slope * weight * dollars(t, market, t.delta)
    return parts


def dollars(t: Terminal, market: str, drop: Numbers) -> float:
    """Return p̂ or v̂, dollars per unit of log drop."""
    return float(t.system.markets[market]["price"] * kappa(drop[market]))


def equity_parts(t: Terminal, name: str) -> Parts:
    """Return the marked equity lost per unit of log drop and of haircut."""
    parts: Parts = defaultdict(float)
    for position in t.system.holdings[name]:
        sign = -1.0 if position["side"] == "debt" else 1.0
        for market, share in position["route"].items():
            parts["price", market] += sign * position["n"] * share * dollars(t, market, t.delta)
    for creditor, debtor, amount in t.system.claims:
        if creditor == name:
            parts["theta", debtor] += amount
    return parts


def trigger(graph: Graph, node: Node, value: float, surplus: float, parts: Parts, kind: str) -> None:
    """Add the trigger rule: the adverse parts and an account already below its level share the value."""
    lost = {j: part * graph.u.get(j, 0.0) for j, part in parts.items()}
    below = max(0.0, -surplus)
    adverse = math.fsum([*(max(z, 0.0) for z in lost.values()), below])
    if adverse == 0.0:
        # a breach by rounding alone
        graph.source(node, "opening", value)
        return
    for j, z in lost.items():
        if z > 0.0:
            graph.cause(node, j, value * z / adverse / graph.u[j], kind)
    graph.source(node, "opening", value * below / adverse)
    if node in graph.u:
        against = math.fsum(max(-z, 0.0) for z in lost.values())
        graph.mitigated[node] += value / graph.u[node] * against / adverse


def surplus_trigger(t: Terminal, graph: Graph, node: Node, value: float, level: str, kind: str) -> None:
    """Add the trigger rule of an account's surplus at one of its platform's levels."""
    name = str(node[1])
    platform = t.system.nodes[t.system.accounts[name]["platform"]]
    start = oracle.surplus(platform, t.opening[name], platform[level])
    trigger(graph, node, value, start, surplus_parts(t, name, platform[level]), kind)


def add_needs(t: Terminal, graph: Graph) -> None:
    """Add the rows of the cash that called accounts need."""
    for name, amount in t.calls.need.items():
        surplus_trigger(t, graph, ("need", name), amount, "call_level", "call")


def held_back(graph: Graph, node: Node, candidate: float) -> float:
    """Return what the rules share of a node; what the ratchet holds above its candidate is a source."""
    value = graph.u.get(node, 0.0)
    if value - candidate > (OVERSHOOT if candidate > 0.0 else 0.0):
        graph.source(node, "overshoot", value - candidate)
        return candidate
    return value


def shares_of_maximum(t: Terminal, node: Node, values: Sequence[float]) -> list[float]:
    """Return how the largest of some candidates is shared among them.

    The first that attains the maximum takes all. Or by layers (the Shapley value of a maximum): what lies between two
    neighbours in size is shared equally among the candidates that reach higher.
    """
    top = max(values)
    if top <= 0.0:
        return [0.0] * len(values)
    if not (t.layers or node in t.layered):
        return [float(place == values.index(top)) for place in range(len(values))]
    shares = [0.0] * len(values)
    below = 0.0
    for level in sorted(set(values)):
        reach = [place for place, value in enumerate(values) if value >= level]
        for place in reach:
            shares[place] += (level - below) / len(reach) / top
        below = level
    return shares


def reasons(t: Terminal, name: str) -> dict[str, float]:
    """Return the four candidates of λ."""
    row, line = t.system.accounts[name], t.lines[name]
    stopped = row["stop_loss"] is not None and line["E"] < row["stop_loss"] * t.opening[name]["E"]
    funds = {
        "received": t.calls.received[name],
        "asked": t.calls.need.get(name, 0.0),
        "missing": t.calls.missing.get(name, 0.0),
    }
    return {
        "call": t.calls.delever[name],
        "funding": t.calls.unwind[name],
        "stop_loss": float(stopped),
        "liquidation": oracle.liquidation(t.system.nodes[row["platform"]], {**line, **funds}),
    }


def add_shares(t: Terminal, graph: Graph) -> None:
    """Add the rows of the liquidated shares."""
    for name, row in t.system.accounts.items():
        node = ("lam", name)
        if t.lam[name] == 0.0:
            continue
        why = reasons(t, name)
        value = held_back(graph, node, max(why.values()))
        for (kind, _), share in zip(why.items(), shares_of_maximum(t, node, list(why.values())), strict=True):
            if share == 0.0:
                continue
            if kind == "call":
                surplus_trigger(t, graph, node, value * share, "call_level", "deleveraging")
            elif kind == "liquidation":
                surplus_trigger(t, graph, node, value * share, "liquidation_level", kind)
            elif kind == "stop_loss":
                start = t.opening[name]["E"] * (1.0 - row["stop_loss"])
                trigger(graph, node, value * share, start, equity_parts(t, name), kind)
            else:
                add_funding(t, graph, node, value * share)


def add_funding(t: Terminal, graph: Graph, node: Node, value: float) -> None:
    """Add the called accounts, in proportion to what each took; in layers, to what it wanted when its turn came."""
    weights = t.asks[str(node[1])]
    if not (t.layers or node in t.layered):
        taken = t.takes[str(node[1])]
        weights = taken if any(taken.values()) else {name: t.calls.need[name] for name in weights}
    total = math.fsum(weights.values())
    for name, weight in weights.items():
        graph.cause(node, ("need", name), value * weight / total / t.calls.need[name], "funding")


def add_quotes(t: Terminal, graph: Graph) -> None:
    """Add the rows of the withdrawn quotes."""
    for row, quote in enumerate(t.system.quotes):
        node: Node = ("eta", row)
        name = quote["account"]
        start, share = t.opening[name]["E"], t.lam[name]
        if t.eta[row] == 0.0:
            continue
        if start <= 0.0:
            graph.source(node, "opening", t.eta[row])
            continue
        term = oracle.withdrawn(quote, t.lines[name], t.opening[name], 0.0)
        value = held_back(graph, node, max(share, term))
        for kind, part in zip(("lam", "equity"), shares_of_maximum(t, node, [share, term]), strict=True):
            if part and kind == "lam":
                graph.cause(node, ("lam", name), value * part / share, "withdrawal")
            elif part:
                surplus = start * (1.0 - quote["full_at"])
                trigger(graph, node, value * part, surplus, equity_parts(t, name), "withdrawal")


# ---------------------------------------------------------------------------------------------------------------------
# Losses


def losing(t: Terminal, name: str) -> dict[str, Parts]:
    """Return E0 − X per unit of every cause, by kind: mark, proceeds, cost, claims."""
    share = t.lam[name]
    kinds: dict[str, Parts] = {kind: defaultdict(float) for kind in ("mark", "proceeds", "cost", "claims")}
    for j, part in equity_parts(t, name).items():
        if j[0] == "theta":
            kinds["claims"][j] += part
        else:
            kinds["mark"][j] += (1.0 - share) * part
    for position in t.system.holdings[name]:
        n, cost = position["n"], position["c"]
        paid = -n if position["side"] == "debt" else n - cost * abs(n)
        for market, part in position["route"].items():
            kinds["proceeds"]["sale", market] += share * paid * part * dollars(t, market, t.sigma)
            if position["side"] != "debt":
                kinds["cost"]["lam", name] += cost * abs(n) * part * t.system.markets[market]["price"]
    return kinds


def add_losses(t: Terminal, graph: Graph) -> None:
    """Add the rows of the owners' losses and of the deficits."""
    for name in t.system.accounts:
        parts = losing(t, name)
        fallen = math.fsum(part * graph.u.get(j, 0.0) for row in parts.values() for j, part in row.items())
        below = max(0.0, -t.opening[name]["E"])
        loss, short = graph.u.get(("loss", name), 0.0), graph.u.get(("short", name), 0.0)
        if short > 0.0 and not fallen + below > 0.0:
            graph.source(("short", name), "opening", short)
            short = 0.0
        for kind, row in parts.items():
            for j, part in row.items():
                if loss > 0.0:
                    graph.cause(("loss", name), j, loss / fallen * part, kind)
                if short > 0.0:
                    graph.cause(("short", name), j, short / (fallen + below) * part, kind)
        if short > 0.0:
            graph.source(("short", name), "opening", short * below / (fallen + below))


def add_nodes(t: Terminal, graph: Graph) -> None:
    """Add the rows of the nodes' losses and haircuts."""
    for name, write_off in t.system.losses.items():
        graph.source(("node", name), f"loss:{name}", write_off)
    for name, row in t.system.accounts.items():
        graph.cause(("node", row["platform"]), ("short", name), 1.0, "deficit")
        if row["owner_node"]:
            graph.cause(("node", row["owner_node"]), ("loss", name), 1.0, "owned")
    for creditor, debtor, amount in t.system.claims:
        if creditor in t.system.nodes:
            graph.cause(("node", creditor), ("theta", debtor), amount, "claims")
    for name, node in t.system.nodes.items():
        loss = graph.u.get(("node", name), 0.0)
        value = held_back(graph, ("theta", name), oracle.haircut(node, loss))
        if loss > 0.0:
            graph.cause(("theta", name), ("node", name), value / loss, "haircut")


# ---------------------------------------------------------------------------------------------------------------------
# The loss, and what fell on nobody


def weights(t: Terminal, graph: Graph) -> Parts:
    """Return v: where every dollar of the loss is counted, once."""
    v: Parts = {}
    for kind, key in graph.u:
        name = str(key)
        if kind == "loss":
            v[kind, key] = 0.0 if t.system.accounts[name]["owner_node"] else 1.0
        elif kind == "node":
            node, loss = t.system.nodes[name], graph.u[kind, key]
            beyond = max(0.0, loss - node["buffer"] - node["liabilities"])
            v[kind, key] = (min(loss, node["buffer"]) + beyond) / loss
        elif kind == "theta":
            v[kind, key] = oracle.outside_liabilities(t.system, name)
    return {node: weight for node, weight in v.items() if weight != 0.0}


def account_balance(t: Terminal) -> Numbers:
    """Return E0 − X added up, gains of winners, losses that fall on nobody yet, and deficits there at opening."""
    total = dict.fromkeys(("fallen", "gains", "hidden", "opening deficits"), 0.0)
    for name, line in t.lines.items():
        closed = oracle.closed_value(line, t.lam[name])
        start, had = t.opening[name]["E"], owed(t, name)
        left = closed + had - start
        total["fallen"] += start - closed
        total["gains"] += max(0.0, closed - start)
        if t.lam[name] < 1.0:
            total["hidden"] += max(0.0, min(0.0, had) - left)
        else:
            total["opening deficits"] += min(max(0.0, -had), max(0.0, -left))
    return total


def balance(t: Terminal, graph: Graph) -> Numbers:
    """Return the terms of the balance of the gross total, each with its sign."""
    total = account_balance(t)
    total["hidden"] = -total["hidden"]
    total["write-offs"] = math.fsum(t.system.losses.values())
    total["default costs"] = total["inside claims"] = total["inside tokens"] = total["claims in excess"] = 0.0
    for name, node in t.system.nodes.items():
        cut, loss = t.theta[name], graph.u.get(("node", name), 0.0)
        claims = math.fsum(amount for _, debtor, amount in t.system.claims if debtor == name)
        of_accounts = math.fsum(
            amount for who, debtor, amount in t.system.claims if debtor == name and who not in t.system.nodes
        )
        tokens = max(0.0, tokens_held(t, name))
        taken = min(node["liabilities"], max(0.0, loss - node["buffer"]))
        total["default costs"] += node["liabilities"] * cut - taken
        total["inside claims"] -= of_accounts * cut
        total["inside tokens"] -= tokens * cut
        total["claims in excess"] += cut * max(0.0, claims + tokens - node["liabilities"])
    return total


def tokens_held(t: Terminal, name: str) -> float:
    """Return the tokens that a node issued and accounts hold, net long, at opening prices."""
    return math.fsum(
        (-1.0 if position["side"] == "debt" else 1.0) * position["n"] * share * t.system.markets[market]["price"]
        for positions in t.system.holdings.values()
        for position in positions
        if t.system.issuers[position["asset"]] == name
        for market, share in position["route"].items()
    )


# ---------------------------------------------------------------------------------------------------------------------
# The adjoint and what it says


def attribute(
    tables: Tables,
    scenario: Mapping[str, Any] | None = None,
    *,
    tol: float = 1e-12,
    layers: bool = False,
) -> Attribution:
    """Return the exact attribution of the loss that the slow solver finds.

    Of several candidates for a maximum the first that attains it takes all, as the document says, unless that leaves a
    circle that no source reaches; those, and with ``layers`` all, are shared in layers.
    """
    result = oracle.solve(tables, scenario or {}, tol)
    unknowns = Unknowns(
        {name: row["liquidated"] for name, row in result.accounts.items()},
        result.quotes,
        {name: row["haircut"] for name, row in result.nodes.items()},
    )
    return attribute_at(tables, scenario or {}, unknowns, layers=layers)


def attribute_at(
    tables: Tables, scenario: Mapping[str, Any], unknowns: Unknowns, *, layers: bool = False
) -> Attribution:
    """Return the exact attribution at given λ, η and θ."""
    t = terminal(tables, scenario, unknowns, layers)
    graph = build(t)
    v = weights(t, graph)
    loss = math.fsum(weight * graph.u[node] for node, weight in v.items())
    y, rho, sign = adjoint(graph, v)
    sources: Numbers = defaultdict(float)
    for (i, source), value in graph.sources.items():
        sources[source] += value * y[i]
    terms = balance(t, graph)
    found = Attribution(
        nodes=list(graph.u),
        u=graph.u,
        M={pair: math.fsum(types.values()) for pair, types in graph.edges.items()},
        types={pair: dict(types) for pair, types in graph.edges.items()},
        c=dict(graph.sources),
        v=v,
        y=y,
        loss=loss,
        sources=dict(sources),
        channels=channels_of(graph, v),
        flows=flows_of(graph, y),
        mitigated=dict(graph.mitigated),
        rho=rho,
        det_sign=sign,
        sum_abs_shares=math.fsum(map(abs, sources.values())) / loss if loss > 0.0 else 0.0,
        gains=terms["gains"],
        hidden=-terms["hidden"],
        balance=terms,
        residuals={},
    )
    return replace(found, residuals=residuals(found))


def flows_of(graph: Graph, y: Parts) -> Numbers:
    """Return the flows by type of transmission; a dollar passes several, so they do not sum to the loss."""
    flows: Numbers = defaultdict(float)
    for (i, j), types in graph.edges.items():
        for kind, coefficient in types.items():
            flows[kind] += graph.u[j] * coefficient * y[i]
    return dict(flows)


def channels_of(graph: Graph, v: Parts) -> Numbers:
    """Return the loss by its last transmission before it is revalued into its bearer."""
    y, _, _ = adjoint(graph, v, PASS)
    channels = dict.fromkeys(CHANNELS, 0.0)
    for (i, j), types in graph.edges.items():
        for kind, coefficient in types.items():
            if kind not in PASS and y[i] != 0.0:
                channels[kind] += graph.u[j] * coefficient * y[i]
    for (i, source), value in graph.sources.items():
        channels[OF_SOURCES.get(source.partition(":")[0], source)] += value * y[i]
    return channels


def adjoint(graph: Graph, v: Parts, kinds: Sequence[str] = ()) -> tuple[Parts, float, float]:
    """Return y = (I − M')⁻¹v, over edges of some kinds only if any are given, with ρ(M) and the sign of det(I − M).

    Solved for the throughput T = u·y: M_ij·u_j/u_i has no units, and the same eigenvalues.
    """
    place = {node: k for k, node in enumerate(graph.u)}
    if not place:
        return {}, 0.0, 1.0
    scaled = np.zeros((len(place), len(place)))
    for (i, j), types in graph.edges.items():
        weight = math.fsum(coefficient for kind, coefficient in types.items() if not kinds or kind in kinds)
        scaled[place[i], place[j]] = weight * graph.u[j] / graph.u[i]
    identity = np.eye(len(place))
    through = np.linalg.solve((identity - scaled).T, [v.get(node, 0.0) * value for node, value in graph.u.items()])
    rho = float(np.abs(np.linalg.eigvals(scaled)).max())
    sign = float(np.linalg.slogdet(identity - scaled)[0])
    return {node: float(through[k]) / graph.u[node] for node, k in place.items()}, rho, sign


def residuals(found: Attribution) -> Numbers:
    """Return how far the identities are from closing.

    Rows relative to the largest term of the row; inflow and outflow of every node to its largest flow or, if that is
    larger, the loss; sources and channels to the loss; the balance to its largest term.
    """
    row: dict[Node, list[float]] = {node: [] for node in found.nodes}
    into: dict[Node, list[float]] = {node: [] for node in found.nodes}
    out: dict[Node, list[float]] = {node: [found.v.get(node, 0.0) * found.u[node]] for node in found.nodes}
    for (i, j), coefficient in found.M.items():
        moved = coefficient * found.u[j]
        row[i].append(moved)
        into[i].append(moved * found.y[i])
        out[j].append(moved * found.y[i])
    for (i, _), value in found.c.items():
        row[i].append(value)
        into[i].append(value * found.y[i])
    through = {node: found.u[node] * found.y[node] for node in found.nodes}
    return {
        "rows": max((apart(found.u[node], row[node]) for node in found.nodes), default=0.0),
        "inflow": max((apart(through[node], into[node], found.loss) for node in found.nodes), default=0.0),
        "outflow": max((apart(through[node], out[node], found.loss) for node in found.nodes), default=0.0),
        "sources": apart(found.loss, list(found.sources.values()), found.loss),
        "channels": apart(found.loss, list(found.channels.values()), found.loss),
        "balance": apart(found.loss, list(found.balance.values())),
    }


def apart(value: float, parts: list[float], least: float = 0.0) -> float:
    """Return the distance of a value from the sum of its parts, relative to the largest of them."""
    scale = max([least, abs(value), *map(abs, parts)])
    return abs(value - math.fsum(parts)) / scale if scale > 0.0 else 0.0
