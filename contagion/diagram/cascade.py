"""The cascade: who was hit, when and through which channel."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.diagram.conserved import passing
from contagion.diagram.flows import flows
from contagion.diagram.picture import SUMS, Picture, edges, entities, members
from contagion.frames import Parts
from contagion.kernels.inputs import Floats, Ints, sum_by
from contagion.kernels.rounds import start
from contagion.money import percent, usd
from contagion.scenario import Scenario
from contagion.solution import Solution

__all__ = ["cascade"]

_ONSET = 0.1
_SHOCKS = 6
_VISIBLE = 1e-6


def cascade(solution: Solution, most: int) -> Picture:
    """Return the boxes and edges of a solved scenario."""
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
    arrows = flows(parts, grouped, solution.markets)
    boxes, arrows = _with_shock(solution.scenario, parts, boxes, arrows, market)
    passed = passing(solution, grouped, arrows)
    boxes.loc[: passed.boxes.size - 1, "passed"] = passed.boxes
    arrows = arrows.assign(flow=passed.arrows)
    picture = Picture(
        boxes,
        arrows,
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
    forced = "" if solution.forced_loss is None else f" ({usd(solution.self_fulfilling)} of it forced by nothing)"
    return f"loss {loss}{forced} · {liquidated} liquidated · {deficit} bad debt · {ended}"


def _remarks(scenario: Scenario) -> tuple[str, ...]:
    return (scenario.description,) if scenario.description else ()


def _losses(solution: Solution, grouped: holdings.Groups, boxes: pd.DataFrame, market: int, group: int) -> pd.DataFrame:
    """Return the boxes with their losses, sales, deficits and haircuts, in columns that add up."""
    parts = solution.parts
    nodes, markets = solution.nodes.reindex(parts.labels.nodes), solution.markets.reindex(parts.labels.markets)
    lost, opening = parts.outcome.losses, parts.outcome.opening
    held = holdings.opening_value(parts.inputs.positions, parts.inputs.markets.price, holdings.ASSETS)
    sold = holdings.scaled(held, parts.run.state.liquidated)
    worth = np.maximum(boxes["gross"].iloc[market:group].to_numpy(), 1e-9)
    depth = np.where(np.isinf(markets["depth_before"]), 0.0, markets["depth_before"])
    zero = np.zeros(len(boxes))
    columns = {name: zero.copy() for name in SUMS[2:]}
    node, trade, people = slice(0, market), slice(market, group), slice(group, None)
    columns["lost"][node], columns["base"][node] = nodes["loss"], nodes["buffer"] + nodes["liabilities"]
    columns["sold"][node], columns["deficit"][node] = nodes["liquidated"], nodes["loss_deficits"]
    columns["owed"][node], columns["cut"][node] = nodes["liabilities"], nodes["haircut"] * nodes["liabilities"]
    columns["lost"][trade], columns["base"][trade] = worth * markets["drop"], worth
    columns["sold"][trade] = holdings.sums(sold, 0)
    columns["depth"][trade] = depth
    columns["thinned"][trade] = np.maximum(0.0, depth - np.where(depth > 0.0, markets["depth"], 0.0))
    columns["lost"][people] = grouped.total(lost.lost)
    moved = parts.outcome.decision.received - parts.outcome.decision.given
    columns["base"][people] = grouped.total(np.maximum(opening.equity + moved, 0.0))
    columns["held"][people] = grouped.total(holdings.sums(held, 1))
    columns["sold"][people] = grouped.total(holdings.sums(sold, 1))
    columns["deficit"][people] = grouped.total(lost.deficit)
    return boxes.assign(**columns)


def _acted(parts: Parts) -> Ints:
    """Return the first round in which each account was called or sold, 0 if never."""
    called, sold = parts.run.called_round, parts.run.liquidated_round
    return np.where((called > 0) & (sold > 0), np.minimum(called, sold), np.maximum(called, sold))


def _onset(when: Ints, money: Floats, member: Ints, size: int) -> Floats:
    """Return by class the first round by which accounts with a tenth of its sales had begun to act, NaN if none did."""
    acted = np.flatnonzero(when > 0)
    order = acted[np.lexsort((when[acted], member[acted]))]
    weight = np.maximum(money[order], 1.0)
    total = sum_by(member[order], weight, size)
    before = np.cumsum(weight) - weight
    start_of = np.full(size, np.inf)
    np.minimum.at(start_of, member[order], before)
    reached = before + weight - start_of[member[order]] >= _ONSET * total[member[order]]
    first = np.full(size, np.inf)
    np.minimum.at(first, member[order[reached]], when[order[reached]].astype(np.float64))
    return np.where(np.isinf(first), np.nan, first)


def _first_move(parts: Parts) -> Floats:
    """Return 0 where a shock moved the price, else the round by which a tenth of its move had come; NaN without any."""
    opening, final = start(parts.inputs).log_drop, parts.run.state.log_drop
    first = np.where(opening > 0.0, 0.0, np.nan)
    enough = np.where(np.isinf(final), _VISIBLE, np.maximum(_ONSET * np.abs(final - opening), _VISIBLE))
    for number, record in enumerate(parts.run.records, start=1):
        first[np.isnan(first) & (np.abs(record.log_drop - opening) >= enough)] = number
    return first


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
        ends = dict.fromkeys(f"−{percent(fall)}" for fall in (rest.min(), rest.max()))
        lines = [*lines[: _SHOCKS - 1], f"{len(rest)} more, {' to '.join(ends)}"]
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
