"""The causal chain of a loss: from shocks to those who bear it, by the conserved flows of an attribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution import Attribution, attribute, feedback
from contagion.attribution import paths as largest_paths
from contagion.attribution.chain import Chain, gains
from contagion.attribution.path_tables import chain_of
from contagion.diagram.path_columns import placed
from contagion.diagram.path_dot import to_dot
from contagion.diagram.path_fold import fold, partition, spilled, strongest, weights
from contagion.diagram.picture import Picture
from contagion.diagram.roles import Roles, roles
from contagion.errors import InputError
from contagion.kernels.inputs import Bools
from contagion.money import percent, usd
from contagion.scenario import Scenario
from contagion.solution import Solution

if TYPE_CHECKING:
    import graphviz

__all__ = ["chain", "draw_paths"]

_EDGES = 56
_CUTS = 3
_LISTED = 3


def draw_paths(solved: Solution | Attribution, k: int | None = None) -> graphviz.Digraph:
    """Return the diagram of the causal chain of a loss, left to right from shocks to those who bear it.

    Columns: shocks, prices they hit, accounts that pass the loss on (they sell, or withdraw quotes), prices they push,
    who loses, and balance sheets. A market that is both hit and pushed has a box for each, and accounts that both sell
    and lose too. Balance sheets alone stand in columns by steps from the shocks. Boxes are as large as what passes
    through them, arrows as wide as the conserved flow that they carry: at every box, what comes in is what goes out or
    ends there. Minor flows have no arrow; boxes say how much "other flows" come in and go out. A dotted arrow, "cut",
    is what a fixed oracle price hides from a platform.

    Parameters
    ----------
    solved : Solution or Attribution
        What to draw; an `Attribution` saves the work of making one, and brings its own target.
    k : int, optional
        Give all names on the k largest `contagion.paths` a box of their own. By default the boxes with most flow have
        one, and those that tell most: a price that falls unshocked, what crosses domains, what a fixed oracle hides.

    Returns
    -------
    graphviz.Digraph
        ``.source`` is DOT text, the same for the same tables whatever the order of their rows. Percentages are shares
        of the target; ×2.8 on a box is its loop gain, ``amplification``: how often a dollar that reaches it passes it.

    Raises
    ------
    InputError
        If an argument is not allowed.

    Examples
    --------
    >>> from contagion import datasets, solve
    >>> system, scenarios = datasets.load("loop_lending")
    >>> picture = draw_paths(solve(system, scenarios["fall_25"]))
    >>> "shock:USDe" in picture.source, "who loses" in picture.source
    (True, True)
    """
    _check_arguments(solved, k)
    found = attribute(solved) if isinstance(solved, Solution) else solved
    return to_dot(chain(found, k), found.total, found.unit)


def _check_arguments(solved: object, k: object) -> None:
    problems = []
    if not isinstance(solved, Solution | Attribution):
        problems.append(f"solved is a {type(solved).__name__}; give a Solution or an Attribution")
    if k is not None and (isinstance(k, bool) or not isinstance(k, int | np.integer) or not k >= 1):
        problems.append(f"k is {k!r}; give a whole number of at least 1, or None")
    if problems:
        raise InputError(problems, "draw_paths")


def chain(found: Attribution, k: int | None = None) -> Picture:
    """Return the boxes and edges of the causal chain; boxes have AMOUNTS, gain and note."""
    every = roles(found)
    weight = weights(every, found.total)
    named, remarks = _named(found, every, k)
    keys = partition(every.boxes, weight, named)
    few, into = fold(every, keys)
    boxes = few.boxes.assign(gain=_gains(found, every, few, into), note=_notes(few.boxes, found.terminal.scenario))
    boxes, headings = placed(boxes, few.flows)
    told = spilled(few) & _apart(few)
    shown = strongest(few.flows, _EDGES, told)
    shown = shown.assign(flow=shown["usd"] / (found.total or 1.0), told=_among(shown, few.flows[told]))
    rest, cuts = few.flows[~_among(few.flows, shown)], _cuts(few, found.total)
    ways = {"rest_in": "effect", "rest_out": "cause"}
    boxes = boxes.assign(
        **{way: rest.groupby(end)["usd"].sum().reindex(boxes.index, fill_value=0.0) for way, end in ways.items()}
    )
    boxes["note"] = boxes["note"].mask(boxes.index.isin(cuts["effect"]) & boxes["usd"].eq(0.0), "sees a fixed price")
    scenario = found.terminal.scenario
    return Picture(
        boxes,
        pd.concat([shown, cuts], ignore_index=True) if len(cuts) else shown,
        f"{scenario.name or 'Cascade'}: {_question(found)}",
        _headline(found),
        True,
        headings,
        _left_out(few.flows, rest, found),
        tuple(
            line
            for line in (
                scenario.description,
                *_crossing(few, shown),
                *_cut_words(few, cuts),
                *remarks,
                *_warning(found),
            )
            if line
        ),
    )


def _named(found: Attribution, every: Roles, k: int | None) -> tuple[Bools, list[str]]:
    """Return which boxes are on the k largest paths, and what these carry."""
    if k is None or every.boxes.empty:
        return np.zeros(len(every.boxes), dtype=bool), []
    listed = largest_paths(found, k)
    share = percent(float(listed["share"].sum()))
    on_them: Bools = every.boxes["name"].isin({name for path in listed["path"] for name in path}).to_numpy()
    return on_them, [f"The {len(listed)} largest paths carry {share} of {_whole(found)}."]


def _question(found: Attribution) -> str:
    return "who passed the loss on" if found.target == "loss" else f"who passed on {_whole(found)}"


def _whole(found: Attribution) -> str:
    """Return what is shared out, in words."""
    kind, _, name = found.target.partition(":")
    if kind == "price":
        return f"the {'fall' if found.total >= 0.0 else 'rise'} of {name}"
    words = {"equity": "the loss of", "deficit": "the bad debt at", "haircut": "the haircut at"}
    return f"{words[kind]} {name}" if kind in words else f"the {kind}"


def _headline(found: Attribution) -> str:
    """Return the target, its largest sources and its largest channels."""
    if not len(found.edges) and found.total == 0.0:
        return "nothing happened: no loss to pass on"
    amount = usd(found.total) if found.unit == "usd" else percent(found.total)
    return f"{found.target} {amount} · sources: {_largest(found.sources)} · channels: {_largest(found.channels)}"


def _largest(table: pd.DataFrame) -> str:
    """Return the largest rows of a table of shares, and the sum of the others."""
    shares = table.loc[table["share"].abs() > 5e-4, "share"]
    words = [f"{name} {percent(share)}" for name, share in shares.head(_LISTED).items()]
    rest = shares.iloc[_LISTED:]
    return ", ".join([*words, f"{len(rest)} more {percent(float(rest.sum()))}"] if len(rest) else words) or "none"


def _crossing(few: Roles, shown: pd.DataFrame) -> list[str]:
    """Return what the fall of a price that nobody shocked made accounts in other domains sell."""
    told = shown[shown["told"]].groupby(["cause", "effect"], sort=True)["usd"].sum().reset_index()
    told = told.sort_values("usd", ascending=False, kind="stable").head(_CUTS)
    return [f"Crosses into another domain, by a price that no shock hit: {_listed(few, told)}."] if len(told) else []


def _cut_words(few: Roles, cuts: pd.DataFrame) -> list[str]:
    """Return what fixed oracle prices kept from passing on."""
    if cuts.empty:
        return []
    return [
        f"Cut by a fixed oracle price, so nothing flows: {_listed(few, cuts)} that the market price would have taken."
    ]


def _listed(few: Roles, flows: pd.DataFrame) -> str:
    name = few.boxes["name"].to_numpy()
    rows = zip(flows["cause"], flows["effect"], flows["usd"], strict=True)
    return ", ".join(f"{name[cause]} → {name[effect]} ({usd(amount)})" for cause, effect, amount in rows)


def _warning(found: Attribution) -> list[str]:
    return [found.reading] if len(found.edges) and not found.readable else []


def _cuts(few: Roles, total: float) -> pd.DataFrame:
    """Return the largest of what fixed oracle prices kept from passing on, as edges."""
    seen = few.cut[few.cut["usd"] > 1e-3 * abs(total)]
    largest = seen.sort_values(["usd", "cause", "effect"], ascending=[False, True, True]).head(_CUTS)
    return largest.assign(channel="cut", flow=0.0, told=True)


def _apart(few: Roles) -> Bools:
    """Return which flows run from a market of its own to accounts none of which is in its domain."""
    domain = few.boxes["domain"].to_numpy()
    alone = (few.boxes["members"] == 1.0).to_numpy()
    ends = zip(few.flows["cause"], few.flows["effect"], strict=True)
    return np.array([alone[cause] and domain[cause] not in domain[effect].split(", ") for cause, effect in ends], bool)


def _among(flows: pd.DataFrame, others: pd.DataFrame) -> Bools:
    """Return which flows are among the others."""
    keys = ["cause", "effect", "channel"]
    found: Bools = pd.MultiIndex.from_frame(flows[keys]).isin(pd.MultiIndex.from_frame(others[keys]))
    return found


def _left_out(flows: pd.DataFrame, rest: pd.DataFrame, found: Attribution) -> tuple[str, ...]:
    """Return how much of the flows is not drawn, and how much is negative."""
    scale, notes = abs(found.total) or 1.0, []
    if len(rest):
        left, every = (float(table["usd"].abs().sum()) for table in (rest, flows))
        largest = percent(float(rest["usd"].abs().max()) / scale)
        notes.append(
            f"other flows: {len(rest)} minor ones of at most {largest} of {_whole(found)}, {percent(left / every)} "
            f"of all flows; they have no arrows, and each box says how much of them comes in and goes out"
        )
    negative = float(flows["usd"].clip(upper=0.0).sum())
    if negative < -1e-9 * scale:
        notes.append(
            f"negative flows (gains and hedges that soften it): {percent(negative / scale)}, dashed where drawn"
        )
    return tuple(notes)


def _gains(found: Attribution, every: Roles, few: Roles, into: np.ndarray) -> Any:
    """Return the loop gain of each box that passes on or is pushed, 1 elsewhere.

    That of `contagion.attribution.feedback`; of a folded box, that of its members taken as one entity.
    """
    loops = every.boxes["type"].isin(["passing", "pushed"]).to_numpy()
    result = np.ones(len(few.boxes))
    if not loops.any():
        return result
    base = found.entities()
    single = feedback(found)["amplification"]
    number = pd.Series(np.arange(len(base.names)), index=pd.MultiIndex.from_arrays([base.types, base.names]))
    kinds = every.boxes["type"].map({"passing": "group", "pushed": "market"})
    entity = number.reindex(pd.MultiIndex.from_arrays([kinds, every.boxes["name"]])).to_numpy()
    values = pd.Series(single.to_numpy(), index=np.flatnonzero(base.types != "source"))
    members = (few.boxes["members"] > 1.0).to_numpy()[into]
    alone = loops & ~members
    result[into[alone]] = values.reindex(entity[alone]).fillna(1.0)
    for stage in ("passing", "pushed"):
        joined = members & (every.boxes["type"] == stage).to_numpy()
        if joined.any():
            lump = np.arange(len(base.names))
            lump[entity[joined].astype(np.int64)] = len(base.names) + into[joined]
            merged = gains(_lumped(chain_of(found, base, found.flows_between(base)), lump))
            boxes = np.unique(into[joined])
            result[boxes] = merged[np.searchsorted(np.unique(lump), len(base.names) + boxes)]
    return result


def _lumped(flow: Chain, lump: np.ndarray) -> Chain:
    """Return a chain with entities of one number taken as one."""
    names, of = np.unique(lump, return_inverse=True)
    onto = holdings.gathered(np.ones(of.size), of, np.arange(of.size), (names.size, of.size))
    return Chain((onto @ flow.flow @ onto.T).tocsr(), onto @ flow.source, onto @ flow.sink)


def _notes(boxes: pd.DataFrame, scenario: Scenario) -> list[str]:
    """Return one line of facts about each box: what a shock is, how far a price fell, what was sold or withdrawn."""
    return [
        _imposed(str(box.name), scenario) if box.type == "source" else _facts(box)
        for box in boxes.itertuples(index=False)
    ]


def _imposed(name: str, scenario: Scenario) -> str:
    kind, _, key = name.partition(":")
    if kind == "shock" and key in scenario.shocks:
        return f"price −{percent(scenario.shocks[key])}"
    if kind == "depth" and key in scenario.depth:
        return f"depth ×{scenario.depth[key]:g}"
    return {"opening": "below a level at the opening", "overshoot": "more than is left to explain"}.get(kind, "")


def _facts(box: Any) -> str:
    lost = box.lost / box.base if box.base > 0.0 else 0.0
    gone = box.thinned / box.depth if box.depth > 0.0 else 0.0
    if box.type in ("hit", "pushed"):
        fall = f"price −{percent(lost)}" if lost > 5e-4 else f"price +{percent(-lost)}" if lost < -5e-4 else ""
        words = [fall, f"depth −{percent(gone)}" if gone > 5e-3 else ""]
    elif box.type == "passing":
        sold = box.sold / box.held if box.held > 0.0 else 0.0
        words = [f"sold {percent(sold)}" if sold > 0.0 else "", f"quotes −{percent(gone)}" if gone > 5e-3 else ""]
    elif box.type == "losing":
        words = [f"{percent(lost)} of equity" if lost > 5e-4 else ""]
    else:
        words = [f"haircut {percent(lost)}" if lost > 5e-4 else ""]
    return " · ".join(word for word in words if word)
