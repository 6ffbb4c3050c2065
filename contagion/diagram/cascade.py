"""The cascade: who was hit, when and through which channel."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from contagion import holdings
from contagion.diagram.money import percent, usd
from contagion.diagram.picture import SUMS, Picture, edges, entities, from_matrix, members
from contagion.frames import Parts
from contagion.kernels.accounts import LIQUIDATION
from contagion.kernels.inputs import COLLATERAL, DEBT, LONG, SHORT, Floats, Ints, sum_by
from contagion.kernels.rounds import start
from contagion.scenario import Scenario
from contagion.solution import Solution

__all__ = ["cascade"]

_ONSET = 0.1
_SHOCKS = 6
_VISIBLE = 1e-6


def cascade(solution: Solution, most: int) -> Picture:
    """Return the boxes and edges of a solved scenario: money that moved, prices that fell, losses that were passed on."""
    parts = solution.parts
    inputs, labels = parts.inputs, parts.labels
    grouped = members(parts.system, inputs, labels, most)
    boxes = entities(parts.system, inputs, labels, grouped, parts.outcome.opening)
    market, group = len(labels.nodes), len(labels.nodes) + len(labels.markets)
    boxes = _losses(solution, grouped, boxes, market, group)
    sold = parts.run.state.liquidated * parts.outcome.opening.gross
    node = _onset(parts.run.liquidated_round, sold, inputs.accounts.platform, market)
    boxes["first"] = np.concatenate(
        [
            np.where(inputs.nodes.loss > 0.0, 0.0, node),
            _first_move(parts),
            _onset(_acted(parts), sold, grouped.member, len(grouped.names)),
        ]
    )
    frames = [
        *_falls(parts, grouped, solution.markets, market, group),
        *_sales(parts, grouped, market, group),
        *_credit(parts, grouped, group),
        *_links(parts, grouped, solution.markets, market),
    ]
    flows = pd.concat(frames, ignore_index=True)
    boxes, flows = _with_shock(solution.scenario, parts, boxes, flows, market)
    picture = Picture(
        boxes,
        flows,
        solution.scenario.name or "Cascade",
        _headline(solution),
        True,
        remarks=_remarks(solution.scenario),
    )
    return _touched(picture, most)


def _headline(solution: Solution) -> str:
    totals, count = solution.totals, len(solution.parts.run.records)
    rounds = f"{count} round{'' if count == 1 else 's'}"
    ended = f"converged in {rounds}" if solution.converged else f"NOT CONVERGED after {rounds}"
    loss, liquidated, deficit = (usd(totals[name]) for name in ("loss", "liquidated", "deficit"))
    return f"loss {loss} · {liquidated} liquidated · {deficit} bad debt · {ended}"


def _remarks(scenario: Scenario) -> tuple[str, ...]:
    return (scenario.description,) if scenario.description else ()


def _losses(solution: Solution, grouped: holdings.Groups, boxes: pd.DataFrame, market: int, group: int) -> pd.DataFrame:
    """Return the boxes with their losses, sales, deficits and haircuts, in columns that add up."""
    parts = solution.parts
    nodes, markets = solution.nodes.reindex(parts.labels.nodes), solution.markets.reindex(parts.labels.markets)
    lost, opening = parts.outcome.losses, parts.outcome.opening
    held = holdings.opening_value(parts.inputs.positions, parts.inputs.markets.price, (COLLATERAL, LONG, SHORT))
    sold = sparse.diags_array(parts.run.state.liquidated) @ held
    worth = np.maximum(boxes["gross"].iloc[market:group].to_numpy(), 1e-9)
    depth = np.where(np.isinf(markets["depth_before"]), 0.0, markets["depth_before"])
    zero = np.zeros(len(boxes))
    columns = {name: zero.copy() for name in SUMS[2:]}
    node, trade, people = slice(0, market), slice(market, group), slice(group, None)
    columns["lost"][node], columns["base"][node] = nodes["loss"], nodes["buffer"] + nodes["liabilities"]
    columns["sold"][node], columns["deficit"][node] = nodes["liquidated"], nodes["loss_deficits"]
    columns["owed"][node], columns["cut"][node] = nodes["liabilities"], nodes["haircut"] * nodes["liabilities"]
    columns["lost"][trade], columns["base"][trade] = worth * markets["drop"], worth
    columns["sold"][trade] = np.asarray(sold.sum(axis=0))
    columns["depth"][trade] = depth
    columns["thinned"][trade] = np.maximum(0.0, depth - np.where(depth > 0.0, markets["depth"], 0.0))
    columns["lost"][people] = grouped.total(lost.lost)
    columns["base"][people] = grouped.total(np.maximum(opening.equity, 0.0))
    columns["sold"][people] = grouped.total(np.asarray(sold.sum(axis=1)))
    columns["deficit"][people] = grouped.total(lost.deficit)
    return boxes.assign(**columns)


def _acted(parts: Parts) -> Ints:
    """Return the first round in which each account was called or sold, 0 if never."""
    called, sold = parts.run.called_round, parts.run.liquidated_round
    return np.where((called > 0) & (sold > 0), np.minimum(called, sold), np.maximum(called, sold))


def _onset(when: Ints, usd_: Floats, member: Ints, size: int) -> Floats:
    """Return by class the first round by which accounts with a tenth of its sales had begun to act, NaN if none did."""
    acted = np.flatnonzero(when > 0)
    order = acted[np.lexsort((when[acted], member[acted]))]
    weight = np.maximum(usd_[order], 1.0)
    total = sum_by(member[order], weight, size)
    before = np.cumsum(weight) - weight
    start_of = np.full(size, np.inf)
    np.minimum.at(start_of, member[order], before)
    reached = before + weight - start_of[member[order]] >= _ONSET * total[member[order]]
    first = np.full(size, np.inf)
    np.minimum.at(first, member[order[reached]], when[order[reached]].astype(np.float64))
    return np.where(np.isinf(first), np.nan, first)


def _first_move(parts: Parts) -> Floats:
    """Return 0 where a shock moved the price, else the first round after which a tenth of its fall had come, NaN if it
    did not fall.
    """
    opening, final = start(parts.inputs).log_drop, parts.run.state.log_drop
    first = np.where(opening > 0.0, 0.0, np.nan)
    enough = np.where(np.isinf(final), _VISIBLE, np.maximum(_ONSET * (final - opening), _VISIBLE))
    for number, record in enumerate(parts.run.records, start=1):
        first[np.isnan(first) & (record.log_drop - opening >= enough)] = number
    return first


def _falls(
    parts: Parts, grouped: holdings.Groups, markets: pd.DataFrame, market: int, group: int
) -> list[pd.DataFrame]:
    """Return what the fall of each price took from accounts on the losing side, at opening holdings, by kind of holding:
    collateral, perps, and what a fixed oracle price hides from the platform.
    """
    positions = parts.inputs.positions
    drop = markets["drop"].reindex(parts.labels.markets).to_numpy()
    loss = parts.inputs.markets.price * drop
    perp = np.isin(positions.side, (LONG, SHORT))
    hidden = ~perp & (positions.oracle_fixed[positions.pair] > 0.0)
    net = _losing(parts, np.ones(perp.size), loss, grouped)
    kinds = {"collateral": ~perp & ~hidden, "perp": perp, "unseen": hidden}
    parts_of = {name: _losing(parts, chosen.astype(np.float64), loss, grouped) for name, chosen in kinds.items()}
    total = sum(parts_of.values(), start=sparse.csr_array(net.shape))
    scale = net.multiply(_inverse(total)).tocsr()
    return [from_matrix(name, part.multiply(scale), group, market, transposed=True) for name, part in parts_of.items()]


def _losing(parts: Parts, chosen: Floats, loss: Floats, grouped: holdings.Groups) -> sparse.csr_array:
    """Return by group and market (g, m) what accounts lost on their net holdings in the chosen term columns."""
    positions = parts.inputs.positions
    sign = np.where((positions.side == DEBT) | (positions.side == SHORT), -1.0, 1.0) * chosen
    unit = sparse.diags_array(sign) @ positions.route[positions.pair] @ sparse.diags_array(loss)
    lost = (positions.quantity @ unit).tocsr()
    lost.data = np.maximum(lost.data, 0.0)
    return grouped.rows(lost)


def _inverse(matrix: sparse.csr_array) -> sparse.csr_array:
    matrix = matrix.copy()
    matrix.data = np.divide(1.0, matrix.data, out=np.zeros_like(matrix.data), where=matrix.data > 0.0)
    return matrix


def _sales(parts: Parts, grouped: holdings.Groups, market: int, group: int) -> list[pd.DataFrame]:
    """Return forced and voluntary sales by accounts in markets, and the quotes that they withdrew there."""
    inputs, state, quotes = parts.inputs, parts.run.state, parts.inputs.quotes
    forced = parts.run.cause == LIQUIDATION
    flow = holdings.net_units(inputs.positions) @ sparse.diags_array(inputs.markets.price)
    frames = []
    for channel, chosen in (("liquidation", forced), ("sale", ~forced)):
        sold = sparse.csr_array(sparse.diags_array(state.liquidated * chosen) @ flow)
        sold.data = np.maximum(sold.data, 0.0)
        frames.append(from_matrix(channel, grouped.rows(sold), group, market))
    gone = quotes.depth * state.withdrawn * inputs.markets.factor[quotes.market]
    size = (len(grouped.names), len(parts.labels.markets))
    left = sparse.csr_array((gone, (grouped.member[quotes.account], quotes.market)), shape=size)
    return [*frames, from_matrix("quote", left, group, market)]


def _credit(parts: Parts, grouped: holdings.Groups, group: int) -> list[pd.DataFrame]:
    """Return bad debt, losses of owners, haircuts on claims and the cash that answered margin calls."""
    given, lost, haircut = parts.inputs.accounts, parts.outcome.losses, parts.run.state.haircut
    owned, member = np.flatnonzero(given.owner >= 0), grouped.member
    groups, cut = group + np.arange(len(grouped.names)), sparse.diags_array(haircut)
    called, source, taken = _funded(parts)
    return [
        edges("deficit", groups, grouped.platform, grouped.total(lost.deficit)),
        _summed(edges("owned", group + member[owned], given.owner[owned], lost.lost[owned])),
        from_matrix("claim", parts.inputs.nodes.claims @ cut, 0, 0, transposed=True),
        from_matrix("claim", grouped.rows((given.claims @ cut).tocsr()), group, 0, transposed=True),
        _summed(edges("funding", group + member[called], group + member[source], taken)),
    ]


def _funded(parts: Parts) -> tuple[Ints, Ints, Floats]:
    """Return called account, source and USD of every funding row that was drawn on: the solver's own order, from what
    each called account received.
    """
    given, made = parts.inputs.accounts, parts.outcome.decision
    left, available = made.received.copy(), np.maximum(0.0, parts.outcome.terminal.proceeds)
    rows = np.flatnonzero(left[given.funded] > 0.0)
    taken = np.zeros(rows.size)
    for number, row in enumerate(rows):
        asking, giving = given.funded[row], given.source[row]
        taken[number] = min(left[asking], available[giving])
        left[asking] -= taken[number]
        available[giving] -= taken[number]
    return given.funded[rows], given.source[rows], taken


def _links(parts: Parts, grouped: holdings.Groups, markets: pd.DataFrame, market: int) -> list[pd.DataFrame]:
    """Return sales that arbitrage carried to other markets, and what pegs and issuers took from holders."""
    given, listed = parts.inputs.markets, markets.reindex(parts.labels.markets)
    pressure = parts.outcome.clearing.pressure
    links = sparse.coo_array(given.laplacian)
    apart = (links.row != links.col) & np.isfinite(pressure[links.row]) & np.isfinite(pressure[links.col])
    a, b = links.row[apart], links.col[apart]
    carried = np.maximum(0.0, -links.data[apart] * (pressure[a] - pressure[b]))
    held = np.asarray(
        holdings.opening_value(parts.inputs.positions, given.price, (COLLATERAL, LONG, SHORT)).sum(axis=0)
    )
    pegged, issued = np.flatnonzero(given.pegged_to >= 0), np.flatnonzero(given.issuer >= 0)
    by_peg, by_issuer = (held * listed[name].to_numpy() for name in ("drop_peg", "drop_issuer"))
    return [
        edges("arbitrage", market + a, market + b, carried),
        edges("peg", market + given.pegged_to[pegged], market + pegged, by_peg[pegged]),
        edges("peg", given.issuer[issued], market + issued, by_issuer[issued]),
    ]


def _summed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby(["cause", "effect", "channel"], sort=True, as_index=False)["usd"].sum()


def _with_shock(
    scenario: Scenario, parts: Parts, boxes: pd.DataFrame, flows: pd.DataFrame, market: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return boxes and edges with one more box, that of the scenario, if it moves anything from outside."""
    worth = boxes["base"].iloc[market : market + len(parts.labels.markets)].to_numpy()
    hit = edges("shock", len(boxes), market + np.arange(worth.size), -np.expm1(-parts.inputs.markets.shock) * worth)
    written = edges("shock", len(boxes), np.arange(market), parts.inputs.nodes.loss)
    if not (len(hit) or len(written) or scenario.depth or scenario.arbitrage != 1.0):
        return boxes, flows
    box = (
        boxes.iloc[:0]
        .reindex([len(boxes)])
        .assign(
            name="Shock",
            kind="shock",
            type="shock",
            domain="",
            home="",
            asset="",
            sort="",
            members=1.0,
            first=0.0,
            column=0,
            note="\n".join(_imposed(scenario, parts, worth)),
            **dict.fromkeys(SUMS[1:], 0.0),
        )
    )
    return pd.concat([boxes, box]), pd.concat([flows, hit, written], ignore_index=True)


def _imposed(scenario: Scenario, parts: Parts, worth: Floats) -> list[str]:
    """Return what the scenario imposes: the shocks that take most from holders, write-offs, thinner and cut markets."""
    drop = -np.expm1(-parts.inputs.markets.shock)
    listed = parts.system.markets.set_index("market")["asset"].reindex(parts.labels.markets)
    names = [name if name in scenario.shocks else asset for name, asset in listed.items()]
    taken = (
        pd.DataFrame({"name": names, "drop": drop, "usd": worth * drop})
        .groupby("name")
        .agg({"drop": "max", "usd": "sum"})
    )
    taken = taken[taken["drop"] > 0.0].reset_index().sort_values(["usd", "name"], ascending=[False, True])
    lines = [f"{name} −{percent(fall)}" for name, fall in zip(taken["name"], taken["drop"], strict=True)]
    if len(lines) > _SHOCKS:
        rest = taken["drop"].iloc[_SHOCKS - 1 :]
        lines = [*lines[: _SHOCKS - 1], f"{len(rest)} more, −{percent(rest.min())} to −{percent(rest.max())}"]
    lines += [f"{name} loses {usd(loss)}" for name, loss in list(scenario.losses.items())[:_SHOCKS] if loss > 0.0]
    lines += [f"depth of {name} ×{factor:g}" for name, factor in list(scenario.depth.items())[:3]]
    if scenario.arbitrage != 1.0:
        lines.append("transfers halted" if scenario.arbitrage == 0.0 else f"arbitrage ×{scenario.arbitrage:g}")
    return lines


def _touched(picture: Picture, most: int) -> Picture:
    """Return the picture without the boxes that nothing happened to, if not all fit; the note counts them."""
    boxes, flows = picture.boxes, picture.edges
    active = boxes["first"].notna() | (boxes["lost"] > 0.0) | (boxes["deficit"] > 0.0)
    active |= boxes.index.isin(flows["cause"]) | boxes.index.isin(flows["effect"])
    if active.all() or (boxes["type"] != "shock").sum() <= most:
        return picture
    rows = np.cumsum(active.to_numpy()) - 1
    gone = boxes[~active]["type"].value_counts()
    words = ", ".join(f"{gone[kind]} {kind}{'s' if gone[kind] > 1 else ''}" for kind in sorted(gone.index))
    moved = flows.assign(cause=rows[flows["cause"]], effect=rows[flows["effect"]])
    return picture._replace(
        boxes=boxes[active].reset_index(drop=True),
        edges=moved,
        notes=(*picture.notes, f"untouched and not drawn: {words}"),
    )
