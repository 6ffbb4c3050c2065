"""Charts: they show the numbers they were given, every word can be read, and the same chart is the same file."""

import itertools
import math
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

import contagion as ct
from contagion import display, notebook
from contagion.charts import draw_collateral_curve, draw_leverage, draw_timeline, draw_tipping, save
from contagion.charts.fold import alike, stacked
from contagion.charts.labels import spread
from contagion.charts.page import _percent, _usd
from contagion.charts.style import COLOURS, assigned, legible
from contagion.measures import leverage_distribution
from contagion.stress import collateral_curve, tipping_point
from contagion.timeline import timeline
from tests.seeds import some
from tests.systems import draw as random_system


class Tip(NamedTuple):
    curve: pd.DataFrame
    found: bool
    below: float
    above: float
    loss_below: float
    loss_above: float


def solved(name: str, scenario: str) -> ct.Solution:
    system, scenarios = ct.datasets.load(name)
    return ct.solve(system, scenarios[scenario])


@pytest.fixture(scope="module")
def record() -> ct.Solution:
    return solved("october_2025", "record")


def generated(accounts: int, **options: Any) -> ct.Solution:
    system, fall = ct.generate.system(accounts=accounts)
    return ct.solve(system, fall, **options)


def tip(at: float = 0.8312, width: float = 1e-4, most: float = 2.0) -> Tip:
    multiple = np.unique(np.append(np.linspace(0.0, most, 21), [1.0, at, at + width]))
    loss = np.where(multiple <= at, 4e9 * multiple**2, 3e10 + 1e10 * multiple)
    curve = pd.DataFrame({"multiple": multiple, "loss": loss})
    return Tip(curve, True, at, at + width, 4e9 * at**2, 3e10 + 1e10 * (at + width))


def smooth() -> Tip:
    multiple = np.linspace(0.1, 3.0, 30)
    return Tip(
        pd.DataFrame({"multiple": multiple, "loss": 1e6 * multiple}), False, math.nan, math.nan, math.nan, math.nan
    )


def curve(peak: float = 0.5) -> pd.DataFrame:
    drop = np.linspace(0.0, 0.5, 26)
    first = 2e10 * drop**2
    added = 4e9 * np.exp(-(((drop - peak) / 0.1) ** 2)) * (drop > 0.0)
    return pd.DataFrame({"first_round": first, "with_feedback": first + added}, index=pd.Index(drop, name="drop"))


def texts(figure: Any) -> Iterator[Text]:
    """Every text that is painted: titles, labels, the names of axes and the numbers along them that are in range."""
    yield from figure.texts
    for axes in figure.axes:
        yield from axes.texts
        yield from (axes.xaxis.label, axes.yaxis.label)
        for axis, span in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(span)
            for tick in axis.get_major_ticks():
                if tick.label1.get_visible() and low - 1e-12 <= tick.get_loc() <= high + 1e-12:
                    yield tick.label1


def check_readable(figure: Any) -> None:
    """Every word is on the page, and none stands on another."""
    renderer = figure.canvas.get_renderer()
    boxes = [(text.get_text(), Text.get_window_extent(text, renderer)) for text in texts(figure) if text.get_text()]
    page = figure.bbox
    for words, box in boxes:
        assert page.x0 <= box.x0 < box.x1 <= page.x1, words
        assert page.y0 <= box.y0 < box.y1 <= page.y1, words
    for (one, box), (other, its) in itertools.combinations(boxes, 2):
        width = min(box.x1, its.x1) - max(box.x0, its.x0)
        height = min(box.y1, its.y1) - max(box.y0, its.y0)
        # the box of a line of text has air above and below its letters
        assert width <= 0.0 or height <= 0.25 * min(box.height, its.height), (one, other)


def lines(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def words(figure: Any) -> str:
    return "\n".join(text.get_text() for text in texts(figure))


@pytest.mark.parametrize("seed", some(60)[0::6])
def test_timelines_of_random_systems_can_be_read(seed: int) -> None:
    check_readable(draw_timeline(ct.solve(*random_system(seed), on_failure="return")))


@pytest.mark.parametrize(
    ("name", "scenario"),
    [
        ("october_2025", "record"),
        ("october_2025", "narrative"),
        ("october_2025", "mild"),
        ("loop_lending", "fall_10"),
        ("loop_lending", "thin_exit"),
    ],
)
def test_timelines_of_datasets_can_be_read(name: str, scenario: str) -> None:
    check_readable(draw_timeline(solved(name, scenario)))


@pytest.mark.parametrize("accounts", [5, 5000])
def test_timelines_of_any_size_can_be_read(accounts: int) -> None:
    check_readable(draw_timeline(generated(accounts)))


def test_timeline_shows_prices_and_haircuts_as_they_were(record: ct.Solution) -> None:
    figure = draw_timeline(record)
    story = timeline(record)
    prices, _, depth, haircuts = figure.axes
    price = story.markets.pivot(index="round", columns="market", values="price")
    left = story.markets.pivot(index="round", columns="market", values="depth")
    haircut = story.nodes.pivot(index="round", columns="node", values="haircut")
    for axes, want in ((prices, price / price.iloc[0]), (haircuts, haircut), (depth, left / left.iloc[0])):
        drawn = lines(axes)
        assert len(drawn) >= 4
        for name, line in drawn.items():
            np.testing.assert_allclose(line.get_ydata(), want[name].iloc[: len(line.get_xdata())], rtol=1e-12)
    lowest = record.markets["price"].div(record.markets["price_before"])
    assert lowest[list(lines(prices))].min() == lowest.min()
    assert set(lines(haircuts)) == set(haircut.columns[haircut.iloc[-1] > 0.0])


def test_timeline_shows_the_lowest_of_each_kind_of_asset(record: ct.Solution) -> None:
    """A broken peg falls less than many an altcoin, and has a line; what hardly moves has none."""
    kind = record.markets["asset"].map(record.system.assets.set_index("asset")["kind"])
    fall = record.markets["drop"]
    shown = lines(draw_timeline(record).axes[0])
    lowest = {str(fall[kind == name].idxmax()) for name in ("native", "altcoin", "synthetic_dollar")}
    assert lowest <= set(shown)
    assert "Binance:USDe" in lowest
    assert {"Binance:WBETH", "Binance:WBETH/ETH"} & set(shown)
    assert not {"Wall Street:SPX", "Curve:USDT"} & set(shown)


def test_timeline_stacks_what_was_liquidated(record: ct.Solution) -> None:
    axes = draw_timeline(record).axes[1]
    tops = [np.asarray(line.get_ydata()) for line in axes.lines if line.get_label() == "_edge"]
    frame = timeline(record).platforms
    want = frame.groupby("round")["liquidated_usd"].sum().iloc[: len(tops[-1])]
    np.testing.assert_allclose(tops[-1], want, rtol=1e-12)
    assert len(tops) == len(axes.collections)


def test_timeline_leaves_out_only_rounds_in_which_nothing_moves(record: ct.Solution) -> None:
    figure = draw_timeline(record)
    shown = int(figure.axes[0].get_xlim()[1])
    assert 15 < shown < len(record.rounds)
    assert f"After round {shown} no line moves by more than 1% of its panel." in words(figure)
    price = timeline(record).markets.pivot(index="round", columns="market", values="price")
    share = price / price.iloc[0]
    assert (share.iloc[shown:] - share.iloc[-1]).abs().max().max() <= 0.01


def test_timeline_says_what_did_not_happen() -> None:
    figure = draw_timeline(solved("loop_lending", "fall_10"))
    assert len(figure.axes) == 1
    assert "nothing was liquidated, no depth was lost and no claim was cut" in words(figure)
    system, _ = ct.datasets.load("loop_lending")
    still = draw_timeline(ct.solve(system))
    assert "Nothing happens in this scenario." in words(still)
    check_readable(still)


def test_timeline_says_when_rounds_did_not_converge() -> None:
    figure = draw_timeline(generated(50, max_rounds=2, on_failure="return"))
    assert "(NOT CONVERGED)" in str(figure.get_label())
    assert "NOT CONVERGED after 2 rounds; these numbers are not a result" in words(figure)
    check_readable(figure)


def test_timeline_wants_a_solution() -> None:
    with pytest.raises(ct.InputError, match="DataFrame has no rounds; give the Solution"):
        draw_timeline(pd.DataFrame())  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0.05, 0.5, 0.9, 0.95, 0.9999, 1.0, 1.2, 1.9])
@pytest.mark.parametrize("width", [0.02, 1e-6])
def test_tipping_points_can_be_read_wherever_they_are(at: float, width: float) -> None:
    figure = draw_tipping(tip(at, width))
    check_readable(figure)
    assert "tips between ×" in words(figure)
    assert "this scenario: $" in words(figure)


def test_tipping_draws_both_sides_and_no_line_across() -> None:
    given = tip()
    drawn = [line for line in draw_tipping(given).axes[0].lines if line.get_label() == "loss"]
    points = np.concatenate([np.asarray(line.get_xydata()) for line in drawn])
    np.testing.assert_array_equal(points, given.curve.to_numpy())
    assert max(np.asarray(drawn[0].get_xdata())) == given.below
    assert min(np.asarray(drawn[1].get_xdata())) == given.above


def test_tipping_marks_what_did_not_converge_and_what_is_beyond_all_numbers() -> None:
    given = tip()
    frame = given.curve.assign(converged=given.curve["multiple"] < 1.5)
    frame.loc[frame["multiple"] > 1.9, "loss"] = math.inf
    figure = draw_tipping(given._replace(curve=frame))
    circles = lines(figure.axes[0])["not converged"]
    np.testing.assert_array_equal(circles.get_xdata(), frame.loc[~frame["converged"], "multiple"])
    assert f"Open circles: {len(circles.get_xdata())} of {len(frame)} solves have not converged." in words(figure)
    check_readable(figure)
    gone = frame.assign(loss=np.where(frame["multiple"] <= given.below, frame["loss"], math.inf))
    beyond = draw_tipping(given._replace(curve=gone, loss_above=math.inf))
    assert "+$∞" in words(beyond)
    check_readable(beyond)


def test_tipping_says_when_there_is_none_and_marks_the_scenario_between_solves() -> None:
    figure = draw_tipping(smooth())
    assert figure.get_label() == "No tipping point"
    assert "between ×0.1 and ×3 the loss grows without a jump" in words(figure)
    assert "this scenario" in words(figure)
    check_readable(figure)


@pytest.mark.parametrize("peak", [0.1, 0.25, 0.4, 0.5])
def test_collateral_curve_shows_both_lines_and_the_gap(peak: float) -> None:
    frame = curve(peak)
    figure = draw_collateral_curve(frame, "ETH")
    check_readable(figure)
    for name, line in lines(figure.axes[0]).items():
        np.testing.assert_array_equal(line.get_ydata(), frame[name])
    (gap,) = figure.axes[0].collections
    assert gap.get_label() == "feedback"
    assert "by feedback" in words(figure)


def test_collateral_curve_breaks_where_no_fixed_point_was_found() -> None:
    frame = curve(0.3)
    frame.loc[frame.index > 0.41, "with_feedback"] = np.nan
    figure = draw_collateral_curve(frame, "ETH")
    assert "No fixed point was found at 5 of 26 drops, from 42% on." in words(figure)
    assert "+$4bn by feedback" in words(figure)
    check_readable(figure)
    nowhere = draw_collateral_curve(frame.assign(with_feedback=np.nan))
    assert "in the first round" in words(nowhere)
    check_readable(nowhere)


def test_charts_take_what_stress_returns() -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    point = tipping_point(system, scenarios["thin_exit"])
    check_readable(draw_tipping(point))
    check_readable(draw_collateral_curve(collateral_curve(system, "USDe"), "USDe"))


def test_collateral_curve_without_feedback_says_so() -> None:
    frame = curve().assign(with_feedback=lambda rows: rows["first_round"])
    figure = draw_collateral_curve(frame)
    assert "$5bn, no feedback" in words(figure)
    check_readable(figure)


@pytest.mark.parametrize("frame", [pd.DataFrame({"first_round": [1.0]}), curve().iloc[:0]])
def test_collateral_curve_names_what_is_missing(frame: pd.DataFrame) -> None:
    with pytest.raises(ct.InputError, match=r"no column with_feedback|no rows"):
        draw_collateral_curve(frame)


def test_charts_say_what_they_draw(record: ct.Solution) -> None:
    """Whatever else they are given, the message names the function whose answer to give."""
    sources: dict[Any, str] = {
        draw_tipping: "contagion.tipping_point(system, scenario)",
        draw_collateral_curve: "contagion.collateral_curve(system, asset)",
        draw_leverage: "contagion.measures.leverage_distribution(solution)",
        draw_timeline: "contagion.solve(system, scenario)",
    }
    given: list[Any] = [None, 3, "record", [1.0], record.system, record.markets, pd.DataFrame(), tip(), curve(), record]
    right: dict[Any, Any] = {draw_tipping: given[7], draw_collateral_curve: given[8], draw_timeline: record}
    for chart, source in sources.items():
        for thing in (thing for thing in given if thing is not right.get(chart)):
            with pytest.raises(ct.InputError) as caught:
                chart(thing)
            assert chart.__name__ in str(caught.value)
            assert f"{source} returns" in str(caught.value), thing


def test_a_collateral_curve_needs_its_drops() -> None:
    with pytest.raises(ct.InputError, match="the index must be the drop"):
        draw_collateral_curve(curve().rename(index=lambda drop: f"{drop:.0%}"))


@pytest.mark.parametrize("measure", ["gross_assets", "debt", "equity", "accounts", "share"])
def test_leverage_bars_are_the_classes(record: ct.Solution, measure: Any) -> None:
    frame = leverage_distribution(record)
    figure = draw_leverage(frame, measure)
    check_readable(figure)
    shown = [label.get_text().removeprefix("×") for label in figure.axes[0].get_yticklabels()]
    assert "×3–5" in words(figure)
    for bars in figure.axes[0].containers:
        widths = [bar.get_width() for bar in bars]
        np.testing.assert_array_equal(widths, frame.loc[shown, f"{measure}_{bars.get_label()}"])
    left = frame.drop(index=shown)[[f"{measure}_before", f"{measure}_after"]]
    assert (left.fillna(0.0) == 0.0).all(axis=None)


def test_leverage_of_a_system_has_one_bar_a_class() -> None:
    system, _ = ct.datasets.load("loop_lending")
    figure = draw_leverage(leverage_distribution(system))
    assert len(figure.axes[0].containers) == 1
    assert "$369k of assets on $100k of equity (×3.7)" in words(figure)
    check_readable(figure)
    with pytest.raises(ct.InputError, match="measure is 'size'; give one of gross_assets, debt"):
        draw_leverage(leverage_distribution(system), "size")  # type: ignore[arg-type]


def test_files_are_the_same_bytes_whatever_the_settings(tmp_path: Path) -> None:
    first = save(draw_tipping(tip()), tmp_path / "a" / "chart")
    assert [file.name for file in first] == ["chart.svg", "chart.png"]
    odd: Any = {
        "axes.facecolor": "black",
        "svg.fonttype": "none",
        "svg.hashsalt": "x",
        "font.size": 20.0,
        "figure.dpi": 50.0,
    }
    with mpl.rc_context(odd):
        before = dict(mpl.rcParams)
        again = save(draw_tipping(tip()), tmp_path / "b" / "chart")
        assert dict(mpl.rcParams) == before
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"<dc:date>" not in first[0].read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["chart.png", "chart.svg"]


def test_files_are_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = """
        import sys, contagion as ct
        from contagion.charts import draw_timeline, save
        system, scenarios = ct.datasets.load("loop_lending")
        save(draw_timeline(ct.solve(system, scenarios["thin_exit"])), sys.argv[1])
        assert "matplotlib.pyplot" not in sys.modules
    """
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / name)], check=True)
    for kind in ("svg", "png"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()


@pytest.mark.parametrize(("kind", "starts"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_ending_chooses_the_format(tmp_path: Path, kind: str, starts: bytes) -> None:
    figure = draw_tipping(tip())
    (file,) = save(figure, tmp_path / f"chart.{kind}")
    content = file.read_bytes()
    assert content.startswith(starts)
    assert save(figure, file)[0].read_bytes() == content


def test_save_wants_a_figure(tmp_path: Path) -> None:
    with pytest.raises(ct.InputError, match="str is no figure"):
        save("chart", tmp_path / "chart")  # type: ignore[arg-type]


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contagion.charts.page.find_spec", lambda _: None)
    with pytest.raises(ct.InputError, match=r'pip install "contagion\[charts\]"'):
        draw_tipping(tip())


def test_charts_load_matplotlib_only_when_they_draw() -> None:
    code = "import sys, contagion.charts; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_wide_names_fit() -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    renamed = {table: frame.replace("Lending pool", "WIDE " * 20) for table, frame in system.tables()}
    figure = draw_timeline(ct.solve(ct.System(**renamed), scenarios["thin_exit"]))
    assert "WIDE WID…" in words(figure)
    check_readable(figure)


def test_dollars_and_odd_names_are_written_as_they_are() -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    odd = system.nodes["node"].str.replace("Lending pool", r"$\frac{a}$ & <b>_^", regex=False)
    renamed = {
        table: frame.replace(dict(zip(system.nodes["node"], odd, strict=True))) for table, frame in system.tables()
    }
    figure = draw_timeline(ct.solve(ct.System(**renamed), scenarios["fall_25"]))
    assert r"$300k $\frac{a}$ & <b>_^" in words(figure)
    check_readable(figure)
    assert "<svg" in figure._repr_svg_()  # type: ignore[attr-defined]


@given(st.lists(st.floats(0.0, 1.0), max_size=12), st.floats(0.01, 0.3))
def test_labels_are_spread_apart_in_order_and_within_bounds(wanted: list[float], gap: float) -> None:
    placed = spread(wanted, gap, 0.0, 1.0)
    fits = min(gap, 1.0 / max(len(wanted) - 1, 1))
    assert ((placed >= -1e-9) & (placed <= 1.0 + 1e-9)).all()
    assert (np.diff(np.sort(placed)) >= fits - 1e-9).all()
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) > 0.0).all()


@given(st.lists(st.floats(0.2, 0.8), min_size=2, max_size=3))
def test_labels_move_as_little_as_possible(wanted: list[float]) -> None:
    """No arrangement on a grid is nearer to what was wanted."""
    placed = spread(wanted, 0.1, 0.0, 1.0)
    cost = float(((placed - np.array(wanted)) ** 2).sum())
    for heights in itertools.product(np.linspace(0.0, 1.0, 16), repeat=len(wanted)):
        if (np.diff(np.sort(heights)) >= 0.1 - 1e-12).all():
            assert cost <= ((np.array(heights) - wanted) ** 2).sum() + 1e-9


def test_lines_that_run_alike_are_one() -> None:
    wide = pd.DataFrame({"a": [1.0, 0.5, 0.5], "b": [1.0, 0.501, 0.5], "c": [1.0, 0.9, 0.5], "d": [1.0, 1.0, 0.9]})
    found = alike(wide, ["a", "b", "c", "d"], most=6)
    assert [line.members for line in found] == [("a", "b"), ("c",), ("d",)]
    assert found[0].words() == "a and 1 more"
    assert [line.name for line in alike(wide, ["d", "a"], most=1)] == ["d"]


@given(st.lists(st.floats(0.0, 1e9), min_size=1, max_size=12))
def test_bands_add_up(ends: list[float]) -> None:
    wide = pd.DataFrame({f"p{number}": [0.0, end] for number, end in enumerate(ends)})
    bands = stacked(wide, most=5)
    assert len(bands) <= 5
    assert sum(band.values[-1] for band in bands) == pytest.approx(sum(ends))


def test_colours_differ_within_a_panel_and_can_be_read() -> None:
    found = assigned("abcdef", {"a": COLOURS[3], "z": COLOURS[0]})
    assert found["a"] == COLOURS[3]
    assert len(set(found.values())) == len(found)
    for colour in COLOURS:
        parts = [int(legible(colour)[at : at + 2], 16) / 255.0 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 4.4


def test_numbers_along_axes_are_exact() -> None:
    assert [_usd(value) for value in (0.0, 12.5e9, 1_050_000.0, -1500.0, 1e12)] == [
        "$0", "$12.5bn", "$1.05m", "−$1.5k", "$1tn",
    ]  # fmt: skip
    assert [_percent(value) for value in (0.995, 1.0, -0.05, 0.1 + 0.2)] == ["99.5%", "100%", "−5%", "30%"]


def test_notebooks_show_a_system(record: ct.Solution) -> None:
    shown = record.system._repr_html_()
    assert shown is not None
    assert "$336bn gross assets" in shown
    for words in ("1,463", ">Binance<", "… and 3 more"):
        assert words in shown
    assert shown.count("<svg") == 1
    assert "<script" not in shown


def test_notebooks_show_a_solution(record: ct.Solution) -> None:
    shown = record._repr_html_()
    assert shown is not None
    assert "<b>record</b>: loss $44bn · 507 of 1,463 accounts sold · converged in 116 rounds" in shown
    for name in ("Binance:WBETH", "Maker A", "account loss"):
        assert f">{name}<" in shown
    assert "NOT CONVERGED" in str(generated(50, max_rounds=2, on_failure="return")._repr_html_())


def test_notebooks_escape_names_and_count_problems() -> None:
    nodes = pd.DataFrame({"node": ["<script>", "x"]})
    shown = str(ct.System(nodes=nodes)._repr_html_())
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    twice = pd.concat([nodes, nodes.iloc[:1]])
    assert "1 problem, listed by contagion.validate(system)" in str(ct.System(nodes=twice)._repr_html_())
    assert "no accounts" in str(ct.System()._repr_html_())


def test_notebooks_do_not_wait_for_large_diagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "LARGE", 10)
    solution = generated(50)
    for shown, name in ((solution._repr_html_(), "solution"), (solution.system._repr_html_(), "system")):
        assert "<svg" not in str(shown)
        assert f"contagion.draw({name})" in str(shown)


def test_notebooks_say_why_there_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> list[Path]:
        raise ct.ContagionError("no <Graphviz>")

    monkeypatch.setattr("contagion.diagram.render", fails)
    assert "no &lt;Graphviz&gt;" in str(solved("loop_lending", "fall_10")._repr_html_())


def test_other_types_keep_their_repr() -> None:
    assert display.html(42) is None
