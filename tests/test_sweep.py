"""Sweeps against plain loops over `contagion.solve`."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import generate
from contagion.arrays import lower
from contagion.kernels import chunks, settle
from contagion.kernels.inputs import Inputs
from contagion.stress import fused_sums
from contagion.stress.ending import Tally, ending
from contagion.stress.runs import under
from contagion.sweep import engine, sweep, tasks
from contagion.sweep import sweep as sweep_function
from contagion.sweep.engine import Engine
from contagion.sweep.measures import TOTALS, Reader, every_measure, members
from contagion.sweep.overlay import Overlay
from tests.seeds import some
from tests.systems import draw, loose

SEEDS = some(20)


@pytest.fixture(params=["sparse", "compiled"])
def passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with the accounts of small systems, and with those of large ones."""
    monkeypatch.setattr(chunks, "COMPILED_FROM", 10**12 if request.param == "sparse" else 0)
    return str(request.param)


def measured(solution: ct.Solution, measure: str) -> float:
    """Return a measure as the tables of a solution hold it."""
    kind, _, name = measure.partition(":")
    if not name:
        return solution.totals[measure]
    if kind in ("price", "drop"):
        return float(loose(solution.markets).at[name, kind])
    if kind == "equity":
        accounts = solution.accounts
        joined = accounts["group"] + " @ " + accounts["platform"]
        return float(accounts["loss"][(joined == name) | (accounts["group"] == name) | (accounts.index == name)].sum())
    nodes = loose(solution.nodes)
    if kind == "buffer_left":
        return float(nodes.at[name, "buffer"] - nodes.at[name, "buffer_used"])
    return float(nodes.at[name, "loss_deficits" if kind == "deficit" else kind])


def assert_same(table: pd.DataFrame, system: ct.System, scenarios: list[ct.Scenario]) -> None:
    """Assert that each row is what a solve of its own finds, to 1e-9 of the number (of the loss, for small ones)."""
    for number, scenario in enumerate(scenarios):
        solution, row = ct.solve(system, scenario, on_failure="return"), loose(table).loc[number]
        assert row["converged"] == solution.converged
        for measure in list(table.columns)[list(table.columns).index("residual") + 1 :]:
            if solution.converged:
                wanted = measured(solution, measure)
                assert row[measure] == pytest.approx(wanted, rel=1e-9, abs=1e-9 * max(1.0, solution.totals["loss"]))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_measure_is_that_of_a_solve(seed: int, passes: str) -> None:
    system, scenario = draw(seed, shorts=bool(seed % 2))
    scenarios = [scenario, scenario.scaled(0.4), ct.Scenario(shocks=scenario.shocks, losses=scenario.losses)]
    groups = system.accounts["group"].unique()[:2]
    first = system.accounts.iloc[0]
    named = [f"equity:{name}" for name in groups] + [
        f"equity:{first['group']} @ {first['platform']}",
        f"equity:{first['account']}",
    ]
    assert_same(sweep(system, scenarios, [*every_measure(system), *dict.fromkeys(named)]), system, scenarios)


@pytest.mark.parametrize("seed", some(8))
def test_the_compiled_sums_are_those_of_the_sparse_ones_to_rounding(seed: int) -> None:
    system, scenario = draw(seed)
    inputs, labels = lower(scenario.apply(system), scenario)
    from contagion.kernels import compiled

    rows = members(("equity:whale",), system, inputs, labels) if (system.accounts["group"] == "whale").any() else ()
    state = ct.solve(system, scenario, on_failure="return").parts.run.state
    sparse = ending(inputs, state, Tally.of(system, inputs, labels, rows, None))
    fused = ending(inputs, state, Tally.of(system, inputs, labels, rows, compiled.prepare(inputs)))
    for plain, fast in zip(sparse[:-1], fused[:-1], strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-12, atol=1e-9)
    assert fused.totals == pytest.approx(sparse.totals, rel=1e-12, abs=1e-9)


def test_the_kernel_runs_as_plain_python_too(monkeypatch: pytest.MonkeyPatch) -> None:
    system, scenario = generate.system(accounts=200, seed=3)
    monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
    compiled = sweep(system, [scenario], [*TOTALS, "equity:trader"])
    interpreted: Any = vars(fused_sums)["account_sums"]
    monkeypatch.setattr(fused_sums, "account_sums", interpreted.py_func)
    pd.testing.assert_frame_equal(sweep(system, [scenario], [*TOTALS, "equity:trader"]), compiled, rtol=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
def test_scenarios_are_laid_over_arrays_as_lowering_would(seed: int) -> None:
    drawn, scenario = draw(seed)
    system = scenario.apply(drawn)
    inputs, labels = lower(system, ct.Scenario())
    overlay = Overlay.of(system, labels, inputs)
    own = {str(system.markets["market"].iloc[0]): 0.05, str(system.markets["venue"].iloc[0]): 1.5}
    for given in (
        scenario,
        scenario.scaled(0.5),
        ct.Scenario(shocks={**scenario.shocks, next(iter(own)): 0.03}, depth=own, arbitrage=0.0),
    ):
        assert_equal(overlay.under(given), under(system, labels, inputs, given))
        assert_equal(overlay.under(given), lower(system, given)[0])


def assert_equal(a: Inputs, b: Inputs) -> None:
    for mine, other in ((a.markets, b.markets), (a.nodes, b.nodes)):
        for field in mine._fields:
            one, two = (loose(getattr(each, field)) for each in (mine, other))
            if hasattr(one, "toarray"):
                one, two = one.toarray(), two.toarray()
            assert np.array_equal(one, two), field


def test_a_market_that_is_named_like_its_asset_is_shocked_once() -> None:
    markets = pd.DataFrame(
        {"market": ["A", "x:A"], "venue": ["x", "x"], "asset": ["A", "A"], "price": 1.0, "depth": 1e9}
    )
    system = ct.System(nodes=pd.DataFrame({"node": ["x"]}), assets=pd.DataFrame({"asset": ["A"]}), markets=markets)
    found = sweep(system, [ct.Scenario(shocks={"A": 0.2}, depth={"A": 0.5})], ["drop:A", "drop:x:A"])
    assert found[["drop:A", "drop:x:A"]].iloc[0].tolist() == pytest.approx([0.2, 0.2])


def test_rows_stand_in_the_order_given_and_are_named() -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    table = sweep(system, scenarios)
    assert table["name"].tolist() == list(scenarios)
    assert table["loss"].tolist() == [ct.solve(system, each).totals["loss"] for each in scenarios.values()]
    assert table.index.name == "scenario"
    assert table.index.tolist() == list(range(len(scenarios)))


def test_overrides_are_lowered_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    system, _ = generate.system(accounts=300, seed=2)
    calm = (ct.Override("nodes", {"node": "lender0"}, {"liquidation_level": 0.5}),)
    scenarios = [
        ct.Scenario(shocks={"asset00": drop}, overrides=overrides) for drop in (0.1, 0.3) for overrides in ((), calm)
    ]
    built = counted(monkeypatch, Engine, "of")
    assert_same(sweep(system, scenarios, ["loss", "liquidated:lender0"]), system, scenarios)
    assert len(built) == 2


def counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[int]:
    """Count the calls of a function."""
    calls: list[int] = []
    before: Callable[..., object] = getattr(owner, name)

    def counting(*given: object, **named: object) -> object:
        calls.append(1)
        return before(*given, **named)

    monkeypatch.setattr(owner, name, counting)
    return calls


def ordered(seed: int) -> tuple[ct.System, ct.Scenario]:
    """Return a long-only system without the two links that bend the order."""
    system, scenario = draw(seed, shorts=False)
    accounts = system.accounts
    accounts["owner"] = ""
    system = scenario.apply(system).with_table("accounts", accounts)
    return system.with_table("funding", system.funding.iloc[:0]), scenario


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("seed", some(12))
def test_lines_of_a_grid_are_warm_and_give_the_same(seed: int, warm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    system, scenario = ordered(seed)
    if not warm:
        accounts = system.accounts
        accounts["owner"] = system.nodes["node"].iloc[0]
        system = system.with_table("accounts", accounts)
    node, assets = str(system.nodes["node"].iloc[0]), [name for name in system.assets["asset"] if name != "USD"]
    drops = [0.05, 0.1, 0.15, 0.3, 0.2]
    plan = ct.grid(
        ct.Scenario(depth=scenario.depth), shocks={assets[0]: [0.0, 0.1], assets[-1]: drops}, losses={node: [0, 10]}
    )
    begun: list[bool] = []
    iterate: Any = vars(engine)["iterate_ahead"]

    def noting(*given: Any) -> Any:
        begun.append(given[4] is not None)
        return iterate(*given)

    monkeypatch.setattr(engine, "iterate_ahead", noting)
    table = sweep(system, plan, TOTALS)
    assert table["converged"].all()
    # along each line of five all but the first set out from the one before; the last, which is milder, does not
    assert begun == [False, warm, warm, warm, False] * 4
    monkeypatch.setattr(engine, "iterate_ahead", iterate)
    assert_same(table, system, list(plan))


@pytest.fixture(scope="module")
def twelve() -> tuple[ct.System, ct.Draws]:
    system, scenario = generate.system(accounts=400, assets=4, seed=5)
    names = list(scenario.shocks)
    covariance = pd.DataFrame(np.full((4, 4), 0.002) + np.eye(4) * 0.004, index=names, columns=names)
    return system, ct.gaussian_draws(12, covariance, seed=1, base=scenario)


def test_any_number_of_workers_gives_the_same_bits(
    twelve: tuple[ct.System, ct.Draws], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, plan = twelve
    monkeypatch.setattr(tasks, "_POSITIONS", 1)
    alone = sweep(system, plan, ["loss", "deficit", "price:exchange0:asset0"])
    pd.testing.assert_frame_equal(
        sweep(system, plan, ["loss", "deficit", "price:exchange0:asset0"], workers=2), alone, check_exact=True
    )
    monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
    monkeypatch.setattr(tasks, "COMPILED_FROM", 0)
    for workers in (1, 3):
        threads = sweep(system, plan, ["loss", "deficit", "price:exchange0:asset0"], workers=workers)
        if workers == 1:
            first = threads
        pd.testing.assert_frame_equal(threads, first, check_exact=True)
    pd.testing.assert_frame_equal(first, alone, rtol=1e-12)


def test_prices_alone_need_no_look_at_accounts(
    twelve: tuple[ct.System, ct.Draws], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, plan = twelve
    both = sweep(system, plan[:2], ["loss", "price:exchange0:asset0", "haircut:exchange0"])
    from contagion.stress import ending as module

    looked = counted(monkeypatch, module, "_sums")
    alone = sweep(system, plan[:2], ["price:exchange0:asset0", "haircut:exchange0"])
    assert not looked
    pd.testing.assert_frame_equal(alone, both[alone.columns], check_exact=True)


def test_what_has_no_fixed_point_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    monkeypatch.setattr(engine, "MAX_ROUNDS", 1)
    row = sweep(system, [scenarios["fall_25"]]).iloc[0]
    assert (row["converged"], row["rounds"]) == (False, 1)
    assert row["residual"] > 0.0
    assert np.isnan(row["loss"])


def test_order_of_rows_in_tables_changes_no_bit() -> None:
    system, scenario = generate.system(accounts=300, seed=4)
    shuffled = ct.System(
        **{name: frame.sample(frac=1.0, random_state=1) for name, frame in system.tables() if name != "funding"},
        funding=system.funding,
    )
    pd.testing.assert_frame_equal(
        sweep(shuffled, [scenario], TOTALS), sweep(system, [scenario], TOTALS), check_exact=True
    )


def test_settle_agrees_with_the_prices() -> None:
    system, scenario = draw(3)
    solution = ct.solve(system, scenario, on_failure="return")
    inputs, state = solution.parts.inputs, solution.parts.run.state
    found = ending(inputs, state, Tally.of(solution.system, inputs, solution.parts.labels, (), None))
    clearing = settle(inputs, state).clearing
    assert np.array_equal(found.price, inputs.markets.price * np.exp(-clearing.log_drop))


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    sweep(system, scenarios, progress=True)
    captured = capsys.readouterr()
    assert "scenarios" in captured.err
    assert captured.out == ""


def test_every_problem_is_listed_before_anything_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    system, _ = ct.datasets.load("october_2025")
    solved = counted(monkeypatch, engine, "iterate_ahead")
    bad = [ct.Scenario(shocks={"BTX": 0.1}, name="typo"), ct.Scenario(shocks={"BTC": 1.5}), ct.Scenario()]
    bad += [ct.Scenario(losses={"nobody": 1.0})] * 9
    with pytest.raises(ct.InputError) as caught:
        sweep(system, bad, ["los", "price:Binance:BTX", "haircut:Binanse", "equity:whaleish"], out="x.csv", workers=0)
    found = "\n".join(caught.value.problems)
    for word in (
        "out is 'x.csv'",
        "workers is 0",
        "'los' is not known (did you mean 'loss'",
        "did you mean 'Binance:BTC'",
        "'Binanse' is not a node (did you mean 'Binance'",
        "'equity:whaleish'",
        "scenario 0 ('typo'): shocks of 'BTX' (did you mean 'BTC'",
        "scenario 1: shocks of 'BTC' is 1.5",
        "scenarios: 6 more are not valid either",
    ):
        assert word in found, word
    assert not solved


@pytest.mark.parametrize(
    ("scenarios", "word"),
    [
        (ct.Scenario(), "scenarios is a single Scenario"),
        ([], "scenarios is empty"),
        ({}, "scenarios is empty"),
        ("fall", "scenarios is a str"),
        ([ct.Scenario(), 3], "number 1 is a int"),
    ],
)
def test_what_is_no_plan_is_refused(scenarios: object, word: str) -> None:
    system, _ = ct.datasets.load("loop_lending")
    with pytest.raises(ct.InputError, match=word):
        sweep(system, scenarios)  # type: ignore[arg-type]


def test_a_system_and_overrides_that_are_not_valid_are_told_once() -> None:
    system = ct.System(
        nodes=pd.DataFrame({"node": ["fund"]}),
        claims=pd.DataFrame({"creditor": ["fund"], "debtor": ["bnak"], "amount": [1.0]}),
    )
    wrong = (ct.Override("nodes", {"node": "fnud"}, {"buffer": 1.0}),)
    with pytest.raises(ct.InputError) as caught:
        sweep(system, [ct.Scenario(), ct.Scenario(overrides=wrong)])
    assert sum("'bnak' is not in nodes" in problem for problem in caught.value.problems) == 1
    assert any("no row where node = 'fnud'" in problem for problem in caught.value.problems)


def test_measures_are_texts_and_some() -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    with pytest.raises(ct.InputError, match="measures is 'loss'; give a list of measures, as"):
        sweep(system, scenarios, "loss")
    with pytest.raises(ct.InputError, match="measures is empty"):
        sweep(system, scenarios, [])
    with pytest.raises(ct.InputError, match="measures is a set, which has no order; give a list"):
        sweep(system, scenarios, {"loss", "deficit"})  # type: ignore[arg-type]
    assert sweep(system, scenarios, ["loss", "loss"]).columns.tolist().count("loss") == 1


def pair(**names: str) -> tuple[ct.Override, ...]:
    """Return overrides that rename a market or a node."""
    made = {"market": ("markets", "market"), "node": ("nodes", "node")}
    old = {"market": "y:A", "node": "w"}
    return tuple(
        ct.Override(*made[key][:1], {made[key][1]: old[key]}, {made[key][1]: new}) for key, new in names.items()
    )


def two_venues() -> ct.System:
    return ct.System(
        nodes=pd.DataFrame({"node": ["x", "y", "v", "w"]}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame(
            {"market": ["x:A", "y:A"], "venue": ["x", "y"], "asset": "A", "price": [1.0, 2.0], "depth": 1e9}
        ),
    )


def test_measures_are_known_under_every_set_of_overrides() -> None:
    system, renamed = two_venues(), pair(market="zz", node="ww")
    scenarios = {"as it is": ct.Scenario(), "renamed": ct.Scenario(overrides=renamed)}
    with pytest.raises(ct.InputError) as caught:
        sweep(system, scenarios, ["price:y:A", "drop:x:A", "loss:w", "haircut:w", "price:zz", "los"], workers=0)
    found = [problem.partition(";")[0].partition(" (")[0] for problem in caught.value.problems]
    assert found == [
        "workers is 0",
        "scenario 1",
        "scenario 1",
        "scenario 1",
        "scenario 0",
        "measure 'los' is not known",
    ]
    assert "scenario 1 ('renamed'): measure 'price:y:A': 'y:A' is not a market" in str(caught.value)
    assert "scenario 1 ('renamed'): measure 'loss:w': 'w' is not a node (did you mean 'ww'?)" in str(caught.value)
    with pytest.raises(ct.InputError, match=r"^scenario 0: measure 'price:y:A'"):
        sweep(system, [ct.Scenario(overrides=renamed)], ["price:y:A"])


def test_a_group_is_known_under_every_set_of_overrides() -> None:
    system, _ = generate.system(accounts=50, seed=2)
    name = str(system.accounts["account"].iloc[0])
    renamed = (ct.Override("accounts", {"account": name}, {"group": "whale"}),)
    with pytest.raises(ct.InputError, match=r"^scenario 0: measure 'equity:whale'"):
        sweep(system, [ct.Scenario(), ct.Scenario(overrides=renamed)], ["equity:whale"])
    assert sweep(system, [ct.Scenario(overrides=renamed)], ["equity:whale"])["converged"].all()


def test_a_market_that_overrides_name_is_measured() -> None:
    scenario = ct.Scenario(shocks={"A": 0.5}, overrides=pair(market="zz"))
    assert sweep(two_venues(), [scenario], ["price:zz", "price:x:A"])[["price:zz", "price:x:A"]].iloc[
        0
    ].tolist() == pytest.approx([1.0, 0.5])


def test_measures_that_many_overrides_leave_unknown_are_told_for_a_few() -> None:
    scenarios = [ct.Scenario(overrides=pair(market=f"z{number}")) for number in range(8)]
    with pytest.raises(ct.InputError) as caught:
        sweep(two_venues(), [ct.Scenario(), *scenarios], ["price:y:A"])
    assert len(caught.value.problems) == 6
    assert caught.value.problems[-1] == "measure 'price:y:A': 3 more sets of overrides leave it unknown"


def test_a_reader_never_takes_the_last_for_one_that_is_missing() -> None:
    _, labels = lower(two_venues(), ct.Scenario())
    assert Reader.of(("loss", "price:y:A"), labels).places == (("loss", None), ("price", 1))
    with pytest.raises(KeyError, match="zz"):
        Reader.of(("price:zz",), labels)


SCRIPT = """
import contagion as ct
from contagion import generate

system, _ = generate.system(accounts=300, assets=3, seed=6)
plan = [ct.Scenario(shocks={"asset0": 0.0005 * number}) for number in range(100)]

def work():
    print(len(ct.sweep(system, plan, workers=2)))
"""

UNGUARDED = "\nwork()\n"

NESTED = """
if __name__ == "__main__":
    from multiprocessing import get_context
    begun = get_context("spawn").Process(target=work)
    begun.start()
    begun.join()
"""


def scripted(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script from a file, with a folder for what it puts away for a while."""
    (folder / "script.py").write_text(script)
    (folder / "made").mkdir()
    root = str(Path(__file__).parent.parent)
    return subprocess.run(
        [sys.executable, str(folder / "script.py")],
        env={**os.environ, "PYTHONPATH": root, "TMPDIR": str(folder / "made")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_script_whose_work_runs_as_it_is_imported_is_told_how_to_begin(tmp_path: Path) -> None:
    done = scripted(SCRIPT + UNGUARDED, tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    # not the last line: Python's own tracker of resources may speak after it
    told = [line for line in done.stderr.splitlines() if line.startswith("contagion.errors.InputError: workers: ")]
    assert "a process that was to solve scenarios has ended." in told[-1]
    assert 'under `if __name__ == "__main__":`, or leave out workers' in told[-1]
    assert "InputError: workers: this process has only begun" in done.stderr
    assert "freeze_support" not in done.stderr
    assert not list((tmp_path / "made").iterdir())


def test_a_process_that_has_begun_may_have_workers_of_its_own(tmp_path: Path) -> None:
    done = scripted(SCRIPT + NESTED, tmp_path)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "100", "")
    assert not list((tmp_path / "made").iterdir())


def test_the_public_name_is_the_function() -> None:
    assert ct.sweep is sweep_function
