"""Diagrams: DOT text, what is folded and what adds up, and files."""

import html
import itertools
import os
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import graphviz
import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import holdings
from contagion.diagram import draw, fonts, render, renderer
from contagion.diagram import render as rendering
from contagion.diagram.cascade import cascade
from contagion.diagram.columns import by_round, split
from contagion.diagram.conserved import passing
from contagion.diagram.exposures import exposures
from contagion.diagram.flows import flows
from contagion.diagram.fold import fold
from contagion.diagram.layout import arrange
from contagion.diagram.picture import SUMS, Picture, arrows
from contagion.diagram.style import CHANNELS, RAMP, fill
from contagion.money import percent, usd
from tests.seeds import some
from tests.systems import draw as random_system
from tests.systems import loose

painting = sys.modules["contagion.diagram.render"]
PNG = b"\x89PNG\r\n\x1a\n"


def tables(**rows: dict[str, list[Any]]) -> ct.System:
    return ct.System(**{name: pd.DataFrame(columns) for name, columns in rows.items()})


def small(trader: str = "trader", exchange: str = "Exchange", buffer: float = 1e6) -> ct.System:
    """A trader's perp at an exchange that owes a bank."""
    return tables(
        nodes={
            "node": [exchange, "Bank"],
            "kind": ["exchange", "institution"],
            "domain": ["cefi", "tradfi"],
            "buffer": [buffer, 5e6],
        },
        assets={"asset": ["ETH"], "kind": ["native"]},
        markets={
            "market": [f"{exchange}:ETH"],
            "venue": [exchange],
            "asset": ["ETH"],
            "price": [4000.0],
            "depth": [2e6],
        },
        terms={"platform": [exchange], "asset": ["ETH"], "maintenance": [0.05]},
        accounts={"account": [trader], "platform": [exchange], "cash": [1e6]},
        positions={
            "account": [trader],
            "asset": ["ETH"],
            "side": ["perp"],
            "quantity": [1000.0],
            "entry_price": [4000.0],
        },
        claims={"creditor": ["Bank"], "debtor": [exchange], "amount": [2e6]},
    )


def words(source: str) -> str:
    """Return DOT text with the words of each label alone, and without fonts, places and sizes."""
    source = re.sub(
        r"<<.*?>>(?= |\])", lambda found: repr(html.unescape(" | ".join(re.findall(r">([^<>]+)<", found[0])))), source
    )
    source = re.sub(r'(?<=[ \[])(fontname|tooltip|bb|lp|pos)="[^"]*" ?', "", source)
    source = re.sub(r" (width|height|penwidth|fixedsize)=[\d.a-z]+", "", source).replace(" ]", "]")
    return source.expandtabs(2)


def edges_of(source: str) -> list[tuple[str, str]]:
    return re.findall(r"^\t(\w+) -> (\w+) ", source, flags=re.MULTILINE)


def test_exposures_as_text() -> None:
    body = words(draw(small()).source).split("\n")[4:]
    want = """\
      title [label='Exposures | $5m gross assets in 1 account, $1m equity' shape=plain style=""]
      column0 [label='markets' shape=plain style=""]
      column1 [label='accounts' shape=plain style=""]
      column2 [label='platforms' shape=plain style=""]
      column3 [label='institutions' shape=plain style=""]
      subgraph cluster_cefi {
        graph [color="#eef3f8" fillcolor="#eef3f8" label='CeFi' style="rounded,filled" tooltip=CeFi]
        group1 [label='trader | Exchange · 1 account · $5m · ×5.0' fillcolor="#ffffff" shape=box style="rounded,filled"]
        market1 [label='Exchange:ETH | $4m' fillcolor="#ffffff" shape=note style=filled]
        node1 [label='Exchange | $6m' fillcolor="#ffffff" shape=box style=filled]
      }
      subgraph cluster_tradfi {
        graph [color="#f6f1f4" fillcolor="#f6f1f4" label='TradFi' style="rounded,filled" tooltip=TradFi]
        node2 [label='Bank | $7m' fillcolor="#ffffff" shape=tab style=filled]
      }
      market1 -> group1 [color="#56b4e970" style=solid]
      node1 -> node2 [color="#cc79a7" style=solid]
      amount1 [label='$4m' shape=plain style=""]
      amount2 [label='$2m' shape=plain style=""]
    """
    assert "\n".join(body[: want.count("\n")]) == textwrap.indent(textwrap.dedent(want), "  ").rstrip()


def test_cascade_as_text() -> None:
    solution = ct.solve(small(buffer=1e5), ct.Scenario(shocks={"ETH": 0.3}, name="fall", description="ETH alone"))
    text = words(draw(solution).source)
    for line in [
        "title [label='fall | loss $1.2m · $4m liquidated · $228k bad debt · converged in 3 rounds | ETH alone'",
        "column1 [label='shock'",
        "column2 [label='round 1'",
        "column3 [label='balance sheets'",
        "group1 [label='trader | Exchange · 1 account | lost $1m (100%) | 100% sold · bad debt $228k · "
        "passes 103% · r1' "
        'fillcolor="#7a2503"',
        "market1 [label='Exchange:ETH | −31% · $4m sold | passes 103%' fillcolor=\"#fdae45\"",
        "node1 [label='Exchange | $4m liquidated · r1 | loss $228k · haircut 6.4% · passes 19%'",
        "node2 [label='Bank | loss $128k · passes 10%'",
        "shock1 [label='Shock | ETH −30%'",
        'market1 -> group1 [color="#56b4e970" style=solid]',
        'group1 -> market1 [color="#d55e0070" style=solid]',
        'group1 -> node1 [color="#00000070" style=solid]',
        'node1 -> node2 [color="#cc79a7" style=solid]',
        'shock1 -> market1 [color="#9a9a9a70" style=solid]',
        "[label='$4m'",
        "[label='$228k'",
        "[label='$128k'",
    ]:
        assert line in text, (line, text)


def test_shuffled_rows_give_the_same_text() -> None:
    system, fall = ct.generate.system(accounts=400, seed=3)
    mixed = ct.System(**{name: table.sample(frac=1.0, random_state=1) for name, table in system.tables()})
    mixed = mixed.with_table("funding", system.funding)
    assert draw(system).source == draw(mixed).source
    assert draw(ct.solve(system, fall)).source == draw(ct.solve(mixed, fall)).source


UGLY = [
    'say "hi"',
    "back\\slash\\n",
    "<b>&amp;</b>",
    "Ünïcode 中文 → 🙂",
    "a" * 300,
    "cluster_cefi",
    "a:b:c",
    "line\nbreak\ttab",
    "  ",
    "-> [color=red]; x",
    "%s {0} $1",
    "'",
]


@pytest.mark.parametrize("name", UGLY)
def test_ugly_names(name: str, tmp_path: Path) -> None:
    system = small(trader=name, exchange=f"X{name}")
    for subject in (system, ct.solve(system, ct.Scenario(shocks={"ETH": 0.3}, name=name, description=name))):
        (file,) = render(draw(subject), tmp_path / "ugly", formats=["svg"])
        shown = "".join(ET.fromstring(file.read_bytes()).itertext())
        plain = "".join(c if c.isprintable() else " " for c in name)
        assert (plain.strip() if len(name) < 20 else plain[:20]) in shown.replace("\xa0", " ")
        assert "a" * 200 not in "".join(re.findall(r"<text.*?</text>", file.read_text("utf-8")))


def test_empty_system(tmp_path: Path) -> None:
    for subject in (ct.System(), ct.solve(ct.System())):
        graph = draw(subject)
        assert edges_of(graph.source) == []
        assert [file.suffix for file in render(graph, tmp_path / "empty")] == [".svg", ".png"]
    assert "converged in 1 round<" in draw(ct.solve(ct.System())).source


def test_no_shock_is_grey() -> None:
    text = words(draw(ct.solve(small())).source)
    assert "Shock" not in text
    assert "loss $0 · $0 liquidated" in text
    assert edges_of(draw(ct.solve(small())).source) == []
    assert text.count('color="#bdbdbd"') == 4


def test_no_nodes_but_only_claims() -> None:
    system = tables(
        nodes={"node": ["A", "B"], "buffer": [1.0, 1.0]},
        claims={"creditor": ["B"], "debtor": ["A"], "amount": [10.0]},
    )
    text = words(draw(ct.solve(system, ct.Scenario(losses={"A": 6.0}))).source)
    assert "Shock | A loses $6" in text
    assert "A | loss $6 · haircut 50%" in text
    assert "B | loss $5 · haircut" not in text
    assert "Cascade" in text


def test_not_converged_says_so() -> None:
    solution = ct.solve(*ct.generate.system(accounts=300), max_rounds=2, on_failure="return")
    assert "NOT CONVERGED after 2 rounds" in draw(solution).source


def test_scenario_words() -> None:
    system, _ = ct.generate.system(accounts=50, assets=9)
    shocks = {f"asset{n}": 0.05 * (n + 1) for n in range(9)}
    halted = ct.Scenario(shocks=shocks, depth={"exchange0": 0.5}, arbitrage=0.0, losses={"bank": 1e3})
    text = words(draw(ct.solve(system, halted)).source)
    assert re.search(r"4 more, −\d+% to −\d+%", text)
    alike = {f"asset{n}": 0.1 for n in range(9)}
    assert "4 more, −10% |" in words(draw(ct.solve(system, ct.Scenario(shocks=alike, arbitrage=0.0))).source)
    for part in ("bank loses $1k", "depth of exchange0 ×0.5", "transfers halted"):
        assert part in text
    assert "arbitrage ×0.5" in draw(ct.solve(system, ct.Scenario(arbitrage=0.5))).source


def squeezed() -> ct.Solution:
    """Buying 1e5 of A back at 100 in a market of depth 100 multiplies its price by 0.99^−1e5; B is left alone."""
    system = tables(
        nodes={"node": ["x"], "margin_rule": ["maintenance"], "close_rule": ["full"]},
        assets={"asset": ["A", "B"]},
        markets={
            "market": ["x:A", "x:B"],
            "venue": ["x", "x"],
            "asset": ["A", "B"],
            "price": [100.0, 1.0],
            "depth": [100.0, 100.0],
        },
        terms={"platform": ["x"], "asset": ["A"], "maintenance": [0.05]},
        accounts={"account": ["short", "holder"], "platform": ["x", "x"], "cash": [1e5, 0.0]},
        positions={
            "account": ["short", "holder"],
            "asset": ["A", "B"],
            "side": ["perp", "collateral"],
            "quantity": [-1e5, 10.0],
            "entry_price": [100.0, np.nan],
        },
    )
    return ct.solve(system, on_failure="return")


def test_a_price_beyond_all_numbers_is_drawn() -> None:
    """Without warnings, which would be errors; who holds none of it loses nothing by it, and nothing is "nan" wide."""
    solution = squeezed()
    picture = cascade(solution, 40)
    name = picture.boxes["name"].to_numpy()
    told = {(name[edge.cause], name[edge.effect], edge.channel): edge.usd for edge in arrows(picture.edges)}
    assert told == {("x:A", "short", "perp"): np.inf, ("short", "x", "deficit"): np.inf}
    source = draw(solution).source
    assert "nan" not in source
    assert "+∞" in source
    assert source.count(">$∞<") == 2


def test_labels_leave_the_names_of_lanes_free() -> None:
    """No amount stands on "CeFi", "DeFi" or "TradFi"."""
    system, _ = ct.datasets.load("october_2025")
    source = draw(system, most=20).source  # without care, one amount does
    lanes = re.findall(r'lp="([\d.]+),([\d.]+)"', source)
    amounts = [line for line in source.splitlines() if line.strip().startswith("amount")]
    assert len(lanes) == 3
    assert len(amounts) > 10
    for line in amounts:
        found = re.search(r'pos="([-\d.]+),([-\d.]+)"', line)
        assert found is not None
        assert all(abs(float(found[1]) - float(x)) > 30.0 or abs(float(found[2]) - float(y)) > 8.0 for x, y in lanes)


def test_only_systems_and_solutions() -> None:
    with pytest.raises(ct.InputError, match="list cannot be drawn"):
        draw([])  # type: ignore[arg-type]
    with pytest.raises(ct.InputError):
        draw(
            small().with_table("positions", pd.DataFrame({"account": ["nobody"], "asset": ["ETH"], "quantity": [1.0]}))
        )


def check_folded(fine: Picture, coarse: Picture) -> None:
    for column in SUMS:
        np.testing.assert_allclose(coarse.boxes[column].sum(), fine.boxes[column].sum(), rtol=1e-9, atol=1e-6)
    for kind in ("node", "market", "group"):
        left, right = (
            loose(picture.boxes[picture.boxes["type"] == kind].groupby("domain")["members"].sum())
            for picture in (fine, coarse)
        )
        assert left.to_dict() == right.to_dict()


@pytest.mark.parametrize("accounts", [30, 5_000])
@pytest.mark.parametrize("most", [5, 12, 40])
def test_folding_adds_up(accounts: int, most: int) -> None:
    system, fall = ct.generate.system(accounts=accounts)
    solution = ct.solve(system, fall)
    for fine in (exposures(system, most), cascade(solution, most)):
        coarse = fold(fine, most)
        check_folded(fine, coarse)
        assert len(coarse.edges) <= max(64, 2 * len(coarse.boxes))
        kinds = coarse.boxes.groupby("type")["domain"].nunique().sum()
        assert len(coarse.boxes) <= max(most, most // 3 + kinds) + 1
    folded = fold(exposures(system, most), most)
    people = folded.boxes[folded.boxes["type"] == "group"]
    assert people["members"].sum() == len(system.accounts)


@pytest.mark.parametrize("seed", some(5))
def test_random_systems_fold_and_draw(seed: int) -> None:
    system, scenario = random_system(seed)
    solution = ct.solve(system, scenario, on_failure="return")
    for most in (40, 8, 1):
        for subject, picture in ((system, exposures(system, most)), (solution, cascade(solution, most))):
            check_folded(picture, fold(picture, most))
            assert draw(subject, most).source == draw(subject, most).source


def test_small_systems_show_every_account() -> None:
    system, fall = ct.generate.system(accounts=12, assets=3)
    text = words(draw(system).source)
    assert all(f"'{account} | " in text for account in system.accounts["account"])
    assert "other" not in words(draw(ct.solve(system, fall)).source)


def test_like_markets_share_a_box_and_unlike_ones_do_not() -> None:
    solution = ct.solve(*ct.generate.system(accounts=3000, assets=6))
    coarse = fold(cascade(solution, 25), 25)
    boxes = coarse.boxes[(coarse.boxes["type"] == "market") & (coarse.boxes["members"] > 1.0)]
    drop = solution.markets["drop"]
    for box in loose(boxes[boxes["asset"] == boxes["name"]]).itertuples():
        falls = sorted(drop[f"{venue}:{box.asset}"] for venue in box.home.split(", "))
        assert all(b - a <= 0.1 + 1e-12 for a, b in itertools.pairwise(falls))


def test_untouched_boxes_are_counted() -> None:
    system, _ = ct.generate.system(accounts=3000)
    picture = cascade(ct.solve(system, ct.Scenario(shocks={"exchange2:asset19": 0.01})), 40)
    assert any(note.startswith("untouched and not drawn: ") for note in picture.notes)
    assert len(picture.boxes) < 72


def test_flows_match_the_solution() -> None:
    solution = ct.solve(*ct.generate.system(accounts=2000, seed=5))
    picture = cascade(solution, 40)
    flow = picture.edges.groupby("channel")["usd"].sum()
    accounts = solution.accounts
    assert flow["deficit"] == pytest.approx(accounts["deficit"].sum())
    assert flow["funding"] == pytest.approx(accounts["received"].sum())
    assert flow["owned"] == pytest.approx(solution.nodes["loss_owned"].sum())
    assert flow["claim"] == pytest.approx(solution.nodes["loss_claims"].sum())
    factor = 1.0
    assert flow["quote"] == pytest.approx(factor * (solution.quotes["depth"] * solution.quotes["withdrawn"]).sum())
    ranked = ct.rank(solution)
    fallen = flow["collateral"] + flow["perp"]
    assert fallen == pytest.approx(ranked.loc[ranked["type"] == "market", "own_loss"].sum())


def test_funding_rows_come_back_exactly() -> None:
    for seed in some(8):
        solution = ct.solve(*random_system(seed), on_failure="return")
        drawn = cascade(solution, 1000).edges
        got = drawn.loc[drawn["channel"] == "funding", "usd"].sum()
        assert got == pytest.approx(solution.accounts["received"].sum(), rel=1e-9, abs=1e-9)


def test_exposures_match_the_tables() -> None:
    system, _ = ct.generate.system(accounts=2000, seed=5)
    flow = exposures(system, 40).edges.groupby("channel")["usd"].sum()
    assert flow["claim"] == pytest.approx(system.claims["amount"].sum())
    assert flow["quote"] == pytest.approx(system.quotes["depth"].sum())
    assert flow["arbitrage"] == pytest.approx(system.arbitrage["depth"].sum())
    assert flow["debt"] == pytest.approx(ct.solve(system).accounts["debt_before"].sum())


def test_hidden_losses_have_a_channel_of_their_own() -> None:
    system = small()
    pegged = system.with_table(
        "oracles", pd.DataFrame({"platform": ["Exchange"], "asset": ["ETH"], "market": [""], "value": [4000.0]})
    ).with_table("positions", system.positions.assign(side="collateral", entry_price=np.nan))
    assert "fixed price: ETH" in draw(pegged).source
    edges = cascade(ct.solve(pegged, ct.Scenario(shocks={"ETH": 0.2})), 40).edges
    assert edges.loc[edges["channel"] == "unseen", "usd"].sum() == pytest.approx(8e5)
    assert "collateral" not in set(edges["channel"])


def test_columns_follow_the_rounds() -> None:
    solution = ct.solve(*ct.generate.system(accounts=3000, shorts=False))
    picture = split(by_round(fold(cascade(solution, 40), 40)))
    boxes = picture.boxes
    assert picture.columns[0] == ""
    assert picture.columns[-1] == "balance sheets"
    groups = boxes[(boxes["type"] == "group") & boxes["first"].notna()].sort_values("first")
    assert groups["column"].is_monotonic_increasing
    assert (boxes.loc[boxes["type"] == "node", "column"] == len(picture.columns) - 1).all()
    tallest = boxes.groupby(["column", "domain"]).size().max()
    assert tallest <= 11


def test_rounds_share_columns_but_do_not_mix() -> None:
    rows = [{"type": "group", "first": float(n), "domain": "cefi", "name": str(n)} for n in range(1, 41)]
    boxes = pd.DataFrame(rows)
    picture = by_round(Picture(boxes, pd.DataFrame({"cause": [], "effect": [], "usd": []}), "", "", True))
    assert 2 <= len(picture.columns) <= 6
    assert picture.boxes["column"].is_monotonic_increasing
    assert picture.columns[0].startswith("rounds 1–")
    assert picture.columns[-1].endswith("–40")


def placed(system_or_solution: Any, most: int = 40) -> tuple[Picture, Any]:
    if isinstance(system_or_solution, ct.Solution):
        picture = split(by_round(fold(cascade(system_or_solution, most), most)))
    else:
        picture = split(fold(exposures(system_or_solution, most), most))
    sizes = np.column_stack([np.full(len(picture.boxes), 120.0), np.full(len(picture.boxes), 40.0)])
    return picture, arrange(picture.boxes, picture.edges, sizes, 100.0)


@pytest.mark.parametrize("accounts", [10, 5_000])
def test_boxes_do_not_overlap_and_stay_in_their_lanes(accounts: int) -> None:
    system, fall = ct.generate.system(accounts=accounts)
    for subject in (system, ct.solve(system, fall)):
        picture, layout = placed(subject)
        left, right = layout.x - layout.width / 2.0, layout.x + layout.width / 2.0
        top, bottom = layout.y - layout.height / 2.0, layout.y + layout.height / 2.0
        for a, b in itertools.combinations(range(len(left)), 2):
            apart = right[a] < left[b] or right[b] < left[a] or bottom[a] < top[b] or bottom[b] < top[a]
            assert apart, (picture.boxes["name"][a], picture.boxes["name"][b])
        for row, domain in enumerate(picture.boxes["domain"]):
            if domain:
                lane = layout.lanes[domain]
                assert lane[0] <= top[row]
                assert bottom[row] <= lane[1]


def test_pages_are_landscape_or_so() -> None:
    system, fall = ct.generate.system(accounts=5_000)
    for subject in (system, ct.solve(system, fall)):
        found = re.search(r'bb="0,0,([\d.]+),([\d.]+)"', draw(subject).source)
        assert found is not None
        assert 1.0 < float(found[1]) / float(found[2]) < 2.4


def test_cross_domain_edges_are_opaque() -> None:
    source = draw(small()).source
    assert re.search(r'node1 -> node2 \[.*color="#cc79a7" ', source)
    assert re.search(r'market1 -> group1 \[.*color="#56b4e970" ', source)


@pytest.mark.parametrize(
    ("share", "colour"),
    [
        (-0.1, "#ffffff"),
        (0.0, "#ffffff"),
        (0.05, "#fff3c4"),
        (0.2000000001, "#fedb7a"),
        (7.0, "#7a2503"),
        (np.nan, "#ffffff"),
    ],
)
def test_ramp(share: float, colour: str) -> None:
    assert fill(share)[0] == colour


def test_ramp_grows_darker_and_channels_differ() -> None:
    light = [sum(int(colour[at : at + 2], 16) for at in (1, 3, 5)) for _, colour in RAMP]
    assert light == sorted(light, reverse=True)
    looks = [(line.colour, line.style) for name, line in CHANNELS.items() if name not in ("debt", "liquidation")]
    assert len(set(looks)) == len(looks)


def test_money_and_percent() -> None:
    assert [usd(x) for x in (0.4, -0.4, 9.96, 99.6, 999.6, 1e15, np.inf, -np.inf)] == [
        "<$1",
        "<$1",
        "$10",
        "$100",
        "$1k",
        "$1000tn",
        "$∞",
        "−$∞",
    ]
    assert [percent(x) for x in (-0.5, 1.84, 0.0996, 0.0994)] == ["−50%", "184%", "10%", "9.9%"]


def test_renders_svg_and_png(tmp_path: Path) -> None:
    svg, png = render(draw(small()), tmp_path / "new" / "picture")
    assert svg.name == "picture.svg"
    assert png.read_bytes().startswith(PNG)
    shown = "".join(ET.fromstring(svg.read_bytes()).itertext())
    assert "Exchange:ETH" in shown
    assert "$5m gross assets" in shown
    assert sorted(path.name for path in svg.parent.iterdir()) == ["picture.png", "picture.svg"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(svg.stat().st_mode) == 0o666 & ~umask


def test_the_ending_chooses_the_format(tmp_path: Path) -> None:
    graph = draw(small())
    assert [path.name for path in render(graph, tmp_path / "a.PNG")] == ["a.png"]
    assert [path.name for path in render(graph, tmp_path / "v1.2")] == ["v1.2.svg", "v1.2.png"]
    assert [path.name for path in render(graph, str(tmp_path / "b.svg"), formats=["pdf"])] == ["b.pdf"]
    with pytest.raises(ct.InputError, match="'gif' cannot be drawn; allowed: svg, png, pdf"):
        render(graph, tmp_path / "c", formats=["gif"])


def test_bad_arguments_of_render(tmp_path: Path) -> None:
    graph = draw(small())
    with pytest.raises(ct.InputError) as caught:
        render(3, 4, formats="png", seconds=0)  # type: ignore[arg-type]
    said = ("digraph is a int", "path is a int", "formats is 'png'; give a list", "seconds is 0; give a positive")
    assert all(found.startswith(words) for found, words in zip(caught.value.problems, said, strict=True))
    with pytest.raises(ct.InputError, match="formats is 5"):
        render(graph, tmp_path / "x", formats=5)  # type: ignore[arg-type]
    with pytest.raises(ct.InputError, match="digraph is a Solution; give what"):
        render(ct.solve(small(), ct.Scenario()), "x")


def test_same_picture_twice(tmp_path: Path) -> None:
    (one,), (two,) = (render(draw(small()), tmp_path / name, formats=["svg"]) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_renderer_is_named() -> None:
    path, version = renderer()
    assert Path(path).exists()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def no_pygraphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


def fake_dot(folder: Path, script: str) -> None:
    program = folder / "dot"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_no_renderer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_pygraphviz(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (renderer, lambda: render(draw(small()), tmp_path / "x")):
        with pytest.raises(ct.ContagionError, match=r"pip install 'pygraphviz>=2.0'"):
            call()


def test_dot_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_pygraphviz(monkeypatch)
    fake_dot(tmp_path, 'if [ "$1" = -V ]; then echo "dot - graphviz version 9.1.2 (0)" >&2; else echo "$1 $2"; fi')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert renderer() == (str(tmp_path / "dot"), "9.1.2")
    (file,) = render(draw(small()), tmp_path / "x", formats=["svg"])
    assert file.read_text() == "-Kdot -Tsvg\n"


def test_slow_layouts_give_way_to_simpler_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_pygraphviz(monkeypatch)
    script = 'case "$1" in -V) echo 9.1;; -Kdot) exec sleep 30;; -Kfdp) echo broken >&2; exit 1;; *) echo "$1";; esac'
    fake_dot(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    files = render(draw(small()), tmp_path / "x", seconds=3.0)
    assert [file.read_text() for file in files] == ["-Ksfdp\n", "-Ksfdp\n"]


def test_when_no_layout_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_pygraphviz(monkeypatch)
    script = 'case "$1" in -V) ;; -Kdot) exec sleep 30;; -Kfdp) echo oops >&2; exit 3;; *) exit 4;; esac'
    fake_dot(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert renderer()[1] == "unknown"
    with pytest.raises(ct.ContagionError, match=r"dot: not done after 3 s; fdp: oops; sfdp: exit code 4; circo"):
        render(draw(small()), tmp_path / "x", seconds=3.0)
    assert [path.name for path in tmp_path.iterdir()] == ["dot"]


def test_a_real_layout_is_stopped(tmp_path: Path) -> None:
    tangle = graphviz.Digraph()
    for a, b in itertools.product(range(70), range(70)):
        tangle.edge(str(a), str(b))
    with pytest.raises(ct.ContagionError, match=r"dot: not done after 0.05 s"):
        render(tangle, tmp_path / "tangle", seconds=0.05)


def test_failed_writes_leave_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (file,) = render(draw(small()), tmp_path / "x.svg")
    old = file.read_bytes()

    def fails(self: Path, target: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="No space"):
        render(draw(ct.System()), tmp_path / "x.svg")
    monkeypatch.undo()
    assert file.read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


@pytest.mark.skipif(sys.platform != "linux", reason="fontconfig settings")
def test_real_letters_on_a_machine_without_fonts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare = tmp_path / "bare.conf"
    bare.write_text("<fontconfig><cachedir>/nonexistent</cachedir></fontconfig>")
    graph = graphviz.Digraph(node_attr={"shape": "plain", "fontname": "Helvetica,Arial"})
    graph.node("a", label="iiii")
    graph.node("b", label="WWWW")
    monkeypatch.setenv("FONTCONFIG_FILE", str(bare))
    (file,) = render(graph, tmp_path / "x.svg")
    widths = [float(width) for width in re.findall(r'<text .*?x="([\d.]+)"', file.read_text("utf-8"))]
    assert widths[1] - widths[0] > 20.0  # boxes for missing letters would all be equally wide
    (png,) = render(graph, tmp_path / "x.png")
    assert png.read_bytes().startswith(PNG)


def test_fonts_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fonts().startswith("DejaVu Sans (")
    program = tmp_path / "fc-match"
    program.write_text('#!/bin/sh\necho "Arial (/fonts/arial.ttf)"\n')
    program.chmod(0o755)
    assert fonts() == "Arial (/fonts/arial.ttf)"


def test_the_package_stays_as_it_was(tmp_path: Path) -> None:
    def listed() -> list[tuple[str, bytes]]:
        return sorted((path.name, path.read_bytes()) for path in painting._FONTS.iterdir())

    before = listed()
    assert [name for name, _ in before] == [".uuid", "DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "LICENSE"]
    render(draw(small()), tmp_path / "x")
    assert listed() == before


def test_other_systems_keep_their_fonts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert painting._with_fonts(tmp_path) == dict(os.environ)
    assert list(tmp_path.iterdir()) == []


def test_drawing_is_imported_only_where_it_is_used() -> None:
    code = "import sys, contagion; print(sorted({'graphviz', 'pygraphviz'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert callable(rendering)


def test_arrows_and_boxes_say_what_of_the_loss_passes() -> None:
    """What flows into boxes of the cascade is the attribution's throughput, and arrows say their share of the loss."""
    solution = ct.solve(small(buffer=1e5), ct.Scenario(shocks={"ETH": 0.3}))
    found = ct.attribute(solution)
    grouped = holdings.groups(solution.system, solution.parts.inputs, solution.parts.labels)
    arrows = flows(solution.parts, grouped, solution.markets)
    passed = passing(solution, grouped, arrows)
    names = [*solution.parts.labels.nodes, *solution.parts.labels.markets, *grouped.names]
    wanted = found.throughput["share"].reindex(names).fillna(0.0)
    np.testing.assert_allclose(passed.boxes, wanted, rtol=1e-12, atol=1e-15)
    by_channel = arrows.assign(flow=passed.arrows).groupby("channel")["flow"].sum()
    shares = found.edges.groupby("channel")["share"].sum()
    assert by_channel["liquidation"] == pytest.approx(shares["forced sale"], rel=1e-12)
    assert by_channel["deficit"] == pytest.approx(shares["deficit"], rel=1e-12)
    held = shares.reindex(["mark", "proceeds", "liquidation"]).sum()
    assert by_channel.reindex(["collateral", "perp"]).sum() == pytest.approx(held, rel=1e-12)
    assert "of the loss flows here" in draw(solution).source


@pytest.mark.parametrize(
    ("account", "group"), [("x", "g"), ("a", "x"), ("x", "x"), ("a", "x:A"), ("x:A", "g"), ("A", "A")]
)
def test_accounts_named_like_nodes_or_markets_are_drawn(account: str, group: str) -> None:
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": 2.0}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8}),
        accounts=pd.DataFrame({"account": [account], "platform": "x", "cash": -7.6, "group": group}),
        positions=pd.DataFrame({"account": [account], "asset": "A", "quantity": 10.0}),
    )
    plain = ct.solve(with_names(system, "b", "h"), ct.Scenario(shocks={"A": 0.1}))
    solution = ct.solve(system, ct.Scenario(shocks={"A": 0.1}))
    assert amounts(draw(plain))
    assert amounts(draw(solution)) == amounts(draw(plain))


def with_names(system: ct.System, account: str, group: str) -> ct.System:
    positions = system.positions.assign(account=account)
    return system.with_table("accounts", system.accounts.assign(account=account, group=group)).with_table(
        "positions", positions
    )


def amounts(graph: graphviz.Digraph) -> list[str]:
    return sorted(re.findall(r"passes [\d.]+%", graph.source))
