"""The causal chain: what flows between roles, what is folded, and what the picture says."""

import dataclasses
import html
import re

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.attribution import attribute, feedback
from contagion.diagram import draw_paths
from contagion.diagram.path_fold import STAGES, fold, partition, strongest, weights
from contagion.diagram.paths import chain
from contagion.diagram.roles import Roles, roles
from contagion.money import percent, usd
from tests.seeds import some
from tests.systems import draw as random_system
from tests.systems import to_system
from tests.test_loss_graph import TABLES


def worked() -> ct.Solution:
    """The worked example of one market and one account: loss 1.8656, of it 1.5964 by the shock."""
    return ct.solve(to_system(TABLES), ct.Scenario(shocks={"A": 0.1}, depth={"x": 0.5}))


@pytest.fixture(scope="module")
def october() -> dict[str, ct.Attribution]:
    system, scenarios = ct.datasets.load("october_2025")
    return {name: attribute(ct.solve(system, scenarios[name])) for name in ("record", "narrative")}


def unbalanced(found: Roles) -> float:
    """Return the largest difference between what comes in and what goes out or ends, over all boxes but sources."""
    into, out = np.zeros(len(found.boxes)), np.zeros(len(found.boxes))
    np.add.at(into, found.flows["effect"].to_numpy(), found.flows["usd"].to_numpy())
    np.add.at(out, found.flows["cause"].to_numpy(), found.flows["usd"].to_numpy())
    inside = (found.boxes["type"] != "source").to_numpy()
    return float(np.abs(into - out - found.boxes["borne"].to_numpy())[inside].max(initial=0.0))


def label(source: str, node: str) -> str:
    """Return the words of the label of a node in DOT text."""
    line = next(line for line in source.splitlines() if line.strip().startswith(f"{node} ["))
    return html.unescape(" | ".join(re.findall(r">([^<>]+)<", line)))


@pytest.mark.parametrize("shorts", [True, False])
def test_flows_are_conserved_at_every_role(shorts: bool) -> None:
    for seed in some(40):
        found = attribute(ct.solve(*random_system(seed, shorts=shorts)))
        every = roles(found)
        scale = max(float(every.flows["usd"].abs().sum()), 1e-300)
        assert unbalanced(every) <= 1e-9 * scale, seed
        assert every.boxes["borne"].sum() == pytest.approx(found.total, rel=1e-9, abs=1e-9 * scale), seed
        sources = every.boxes.loc[every.boxes["type"] == "source", "usd"]
        assert sources.sum() == pytest.approx(found.total, rel=1e-9, abs=1e-9 * scale), seed


def test_a_market_hit_and_pushed_has_both_boxes() -> None:
    boxes = roles(attribute(worked())).boxes
    both = boxes[boxes["name"] == "x:A"].set_index("type")["usd"]
    assert set(both.index) == {"hit", "pushed"}
    assert both["hit"] == pytest.approx(1.8656125, rel=1e-7)  # all that the sources put in: both act on its price
    assert both.sum() == pytest.approx(0.2058639 * 6.3521306 + 0.1551914 * 8.7995399, rel=1e-6)  # u·y of both prices


def test_folding_conserves_money(october: dict[str, ct.Attribution]) -> None:
    found = october["record"]
    every = roles(found)
    nobody = np.zeros(len(every.boxes), dtype=bool)
    few, into = fold(every, partition(every.boxes, weights(every, found.total), nobody))
    assert len(few.boxes) < len(every.boxes)
    assert few.boxes["members"].sum() == len(every.boxes)
    assert few.boxes["borne"].sum() == pytest.approx(found.total, rel=1e-12)
    assert unbalanced(few) <= 1e-9 * found.total
    kinds = few.boxes["type"].value_counts()
    assert all(kinds.get(stage, 0) <= most for stage, most in STAGES.items())
    kept = into[every.flows["cause"]] != into[every.flows["effect"]]
    assert few.flows["usd"].sum() == pytest.approx(every.flows.loc[kept, "usd"].sum(), rel=1e-12)


def test_the_strongest_flows_reach_every_box() -> None:
    flows = pd.DataFrame({"cause": [0, 0, 1, 1, 2], "effect": [1, 2, 2, 2, 3], "usd": [9.0, -8.0, 7.0, 6.0, 0.1]})
    flows["channel"] = ["mark", "mark", "mark", "cost", "mark"]
    none = np.zeros(5, dtype=bool)
    assert strongest(flows, 4, none)["usd"].tolist() == [9.0, -8.0, 7.0, 0.1]
    assert strongest(flows, 5, none).equals(flows)
    assert strongest(flows, 4, flows["usd"].to_numpy() == 6.0).equals(flows)
    drop = pd.DataFrame({"cause": [0] * 6, "effect": [1] * 6, "usd": [60.0, 25.0, 10.0, 3.0, 1.0, 1.0]})
    drop["channel"] = list("abcdef")
    assert strongest(drop, 5, np.zeros(6, dtype=bool))["usd"].tolist() == [60.0, 25.0, 10.0]  # 95 of 100 is enough


def test_shares_are_those_of_the_attribution() -> None:
    found = attribute(worked())
    source = draw_paths(found).source
    for number, name in enumerate(("depth:x", "shock:A"), start=1):
        said = label(source, f"source{number}")
        assert name in said
        assert percent(float(found.sources["share"][name])) in said
    shocks = found.edges[found.edges["cause_type"] == "source"]
    assert all(f">{percent(share)}<" in source.replace("<B>", "").replace("</B>", "") for share in shocks["share"])
    assert "bears 100%" in source


def test_badges_are_loop_gains(october: dict[str, ct.Attribution]) -> None:
    found = october["record"]
    boxes = chain(found).boxes
    gain = feedback(found)["amplification"]
    alone = boxes[(boxes["members"] == 1.0) & boxes["type"].isin(["passing", "pushed"])]
    np.testing.assert_allclose(alone["gain"], gain[alone["name"]], rtol=1e-12)
    assert (boxes["gain"] >= 1.0 - 1e-9).all()
    assert f">×{gain['market maker @ Binance']:.1f}<" in draw_paths(found).source
    calm = draw_paths(ct.solve(*loop_lending())).source
    assert "gain_" not in calm
    assert "loop gain, how often" in draw_paths(found).source
    assert "loop gain, how often" not in calm


def loop_lending() -> tuple[ct.System, ct.Scenario]:
    system, scenarios = ct.datasets.load("loop_lending")
    return system, scenarios["fall_25"]


def test_columns_run_from_shocks_to_losers(october: dict[str, ct.Attribution]) -> None:
    for found in october.values():
        picture = chain(found)
        assert picture.columns[:5] == ("shocks", "prices hit", "who passes it on", "prices they push", "who loses")
        order = picture.boxes.groupby("type")["column"].agg(["min", "max"])
        assert (order["min"] == order["max"]).all()
        assert order.loc[["source", "hit", "passing", "pushed", "losing"], "min"].tolist() == [0, 1, 2, 3, 4]
        assert len(picture.boxes) <= sum(STAGES.values())
        assert len(picture.edges) <= 60


def test_what_the_record_cuts(october: dict[str, ct.Attribution]) -> None:
    record, narrative = (chain(october[name]) for name in ("record", "narrative"))
    name = record.boxes["name"]
    cut = record.edges[record.edges["channel"] == "cut"]
    assert ("Binance:USDe", "loop @ Aave") in set(zip(name[cut["cause"]], name[cut["effect"]], strict=True))
    assert any("fixed oracle" in line and "loop @ Aave" in line for line in record.remarks)
    amount = float(cut.loc[name[cut["effect"]].eq("loop @ Aave").to_numpy(), "usd"].iloc[0])
    assert f"✕ cut {usd(amount)}" in html.unescape(draw_paths(october["record"]).source)
    assert record.boxes.loc[name == "loop @ Aave", "note"].tolist()[0] == "sees a fixed price"
    assert not (narrative.edges["channel"] == "cut").any()
    told = narrative.boxes["name"]
    flows = narrative.edges[narrative.edges["channel"] == "liquidation"]
    assert ("Binance:USDe", "loop @ Aave") in set(zip(told[flows["cause"]], told[flows["effect"]], strict=True))


def test_the_story_of_the_synthetic_dollar(october: dict[str, ct.Attribution]) -> None:
    """Its chain has arrows in both scenarios: makers and loops break the peg at Binance, the peg breaks makers."""
    for name, found in october.items():
        picture = chain(found)
        box = picture.boxes["name"]
        edges = picture.edges[picture.edges["channel"] != "cut"]
        drawn = set(zip(box[edges["cause"]], box[edges["effect"]], edges["channel"], strict=True))
        maker, peg = "market maker @ Binance", "Binance:USDe"
        assert {(maker, peg, "quote"), ("whale loop @ Binance Loans", peg, "sale")} <= drawn, name
        assert {(maker, "Binance:ALTS", "quote"), ("Binance:ALTS", maker, "quote")} <= drawn, name
        told = edges[edges["told"]]
        crossing = set(zip(box[told["cause"]], box[told["effect"]], strict=True))
        said = [line for line in picture.remarks if line.startswith("Crosses")]
        if name == "record":
            assert not crossing
            assert not said
        else:
            assert crossing == {(peg, "loop @ Aave"), (peg, "loop @ Morpho")}
            assert "Binance:USDe → loop @ Aave ($269m)" in said[0]


@pytest.mark.parametrize("name", ["record", "narrative"])
def test_what_has_no_arrow_is_in_the_boxes(october: dict[str, ct.Attribution], name: str) -> None:
    """With arrows and the other flows that boxes tell, what comes into each box is what goes out or ends there."""
    found = october[name]
    picture = chain(found)
    boxes = picture.boxes
    edges = picture.edges[picture.edges["channel"] != "cut"]
    into = edges.groupby("effect")["usd"].sum().reindex(boxes.index, fill_value=0.0) + boxes["rest_in"]
    out = edges.groupby("cause")["usd"].sum().reindex(boxes.index, fill_value=0.0) + boxes["rest_out"]
    inside = boxes["type"] != "source"
    np.testing.assert_allclose(into[inside], boxes["usd"][inside], atol=1e-9 * found.total)
    np.testing.assert_allclose((out + boxes["borne"])[inside], boxes["usd"][inside], atol=1e-9 * found.total)
    every = float(edges["usd"].sum() + boxes["rest_in"].sum())
    assert boxes["rest_in"].sum() < 0.3 * every
    assert f"{percent(boxes['rest_in'].sum() / every)} of all flows" in picture.notes[0]
    number = int(boxes["rest_in"].argmax())
    said = f"other flows {percent(boxes['rest_in'].iloc[number] / found.total)} in"
    assert said in html.unescape(draw_paths(found).source)


def test_names_on_the_largest_paths_have_boxes(october: dict[str, ct.Attribution]) -> None:
    found = october["record"]
    own = {k: chain(found, k).boxes.query("members == 1")["name"] for k in (None, 1, 10, 30)}
    for k in (1, 10, 30):
        names = {name for path in ct.paths(found, k=k)["path"] for name in path}
        assert names <= set(own[k]), k
    assert not names <= set(own[None])  # most of them have a box only because they are asked for
    assert any("largest path" in line for line in chain(found, 1).remarks)


def test_nothing_happened() -> None:
    system, _ = loop_lending()
    source = draw_paths(ct.solve(system, ct.Scenario())).source
    assert "nothing happened" in source
    assert "->" not in source


def test_the_same_text_for_any_row_order() -> None:
    for seed in some(6):
        system, scenario = random_system(seed)
        tables = {field.name: getattr(system, field.name) for field in dataclasses.fields(system)}
        order = tables.pop("funding")  # the order in which calls ask for money
        mixed = {name: table.sample(frac=1.0, random_state=seed) for name, table in tables.items()}
        shuffled = ct.System(**mixed, funding=order)
        assert draw_paths(ct.solve(system, scenario)).source == draw_paths(ct.solve(shuffled, scenario)).source


def test_other_targets() -> None:
    source = draw_paths(attribute(worked(), target="price:x:A")).source
    assert "price:x:A 19%" in source


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("loss", "who passed the loss on"),
        ("equity:whale", "who passed on the loss of whale"),
        ("price:x:A", "who passed on the fall of x:A"),
        ("deficit:x", "who passed on the bad debt at x"),
        ("haircut:x", "who passed on the haircut at x"),
    ],
)
def test_the_title_names_the_target(target: str, asked: str) -> None:
    system = worked().system
    named = system.with_table("accounts", system.accounts.assign(group="whale"))
    found = attribute(ct.solve(named, ct.Scenario(shocks={"A": 0.1}, depth={"x": 0.5}, name="fall")), target=target)
    assert chain(found).title == f"fall: {asked}"
    assert f">fall: {asked}<" in re.sub("</?B>", "", draw_paths(found).source)


def test_long_remarks_are_wrapped() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    found = attribute(ct.solve(system, scenarios["record"]), target="price:Binance:USDe")
    remark = next(line for line in chain(found).remarks if line.startswith("Cut by"))
    title = label(draw_paths(found).source, "title")
    assert remark not in title
    assert remark in title.replace(" | ", " ")


def test_nothing_runs_through_a_badge() -> None:
    """The loss on holdings runs level above the boxes that have a loop gain: above their badges, too."""
    system, scenarios = ct.datasets.load("loop_lending")
    lines = [
        line for line in draw_paths(ct.solve(system, scenarios["thin_exit"])).source.splitlines() if "pos=" in line
    ]
    found = [re.findall(r"(-?[0-9.]+),(-?[0-9.]+)", line.partition('pos="')[2].partition('"')[0]) for line in lines]
    places = [np.array(points, dtype=float) for points in found]
    badges = [at[0] for line, at in zip(lines, places, strict=True) if line.strip().startswith("gain_")]
    ways = [at[1:] for line, at in zip(lines, places, strict=True) if "->" in line]
    level = [(a, b) for way in ways for a, b in zip(way[:-1:3], way[3::3], strict=True) if a[1] == b[1]]
    above = [(x, y, a[1]) for x, y in badges for a, b in level if a[0] <= x <= b[0]]
    assert len(above) == len(badges) == 2
    assert all(height - y > 8.5 + 3.0 for _, y, height in above)  # half a badge, and half a line


def test_bad_arguments() -> None:
    with pytest.raises(ct.InputError, match=r"solved is a str.*\n.*k is 0|k is 0"):
        draw_paths("solution", k=0)  # type: ignore[arg-type]


def test_claims_alone_stand_in_columns_by_steps_from_the_shocks() -> None:
    """A owes B 10 and C 2, B owes C 6, C owes D 5; A loses all: C is reached through B, and a little directly."""
    names = list("ABCD")
    debts = pd.DataFrame([[0.0, 10, 2, 0], [0, 0, 6, 0], [0, 0, 0, 5], [0, 0, 0, 0]], names, names)
    system = ct.System.from_liabilities(debts, pd.Series([12.0, 1, 1, 1], names))
    picture = chain(attribute(ct.solve(system, ct.Scenario(losses={"A": 12.0}))), k=20)
    column = picture.boxes.set_index("name")["column"]
    assert column[["loss:A", *names]].to_dict() == {"loss:A": 0, "A": 1, "B": 2, "C": 3, "D": 4}
    assert picture.columns == ("shocks", "who is hit", "their creditors", "creditors of these", "further on")


def test_one_column_of_balance_sheets_keeps_its_heading() -> None:
    system = ct.System.from_liabilities(
        pd.DataFrame(np.zeros((2, 2)), list("AB"), list("AB")), pd.Series(1.0, list("AB"))
    )
    picture = chain(attribute(ct.solve(system, ct.Scenario(losses={"A": 0.5, "B": 0.25}))))
    assert picture.columns == ("shocks", "balance sheets")
