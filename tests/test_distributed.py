"""A Dask cluster as the engine: the same bits as on this machine, whoever dies."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import cluster
from contagion.cluster import clients, keeping, waiting
from contagion.kernels import chunks
from contagion.parts.over_cluster import ClusterParts
from contagion.sweep import over_cluster, store, tasks
from contagion.sweep.engine import Engine
from tests.random_systems import random_tables
from tests.systems import draw, to_scenario, to_system

dask = pytest.importorskip("dask", reason="needs the extra: pip install contagion[distributed]")
distributed = pytest.importorskip("distributed", reason="needs the extra: pip install contagion[distributed]")

MEASURES = ["loss", "liquidated", "deficit"]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    started = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    )
    with (
        # Dask gives up for good a worker that is not back after fifteen seconds
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
        started as local,
        # by its address: a client of the cluster object replaces what that knows of workers, and it stumbles over it
        distributed.Client(local.scheduler_address) as made,
    ):
        yield made
        made.cancel([])


@pytest.fixture
def two(client: Any) -> Any:
    """Return a client of two workers, after whatever a test before has done to them."""
    client.wait_for_workers(2, timeout=300)
    return client


def case() -> tuple[ct.System, ct.Grid]:
    system, scenario = draw(2)
    return system, ct.grid(scenario, depth={next(iter(system.nodes["node"])): [1 - 0.02 * k for k in range(16)]})


@cache
def local() -> pd.DataFrame:
    """Return what this machine finds: a loss of its own for every scenario."""
    table = ct.sweep(*case(), MEASURES)
    assert table["loss"].nunique() == len(table)
    return table


def pids(client: Any) -> set[int]:
    """Return the processes of all workers but those that are dying."""
    return set(client.run(os.getpid, on_error="ignore").values())


def kill(client: Any, count: int) -> set[int]:
    """Kill some workers the hard way."""
    victims = sorted(pids(client))[:count]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    return set(victims)


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_sweep_gives_the_same_bits(two: Any) -> None:
    system, plan = case()
    assert_same(ct.sweep(system, plan, MEASURES, engine=two), local())


def test_workers_that_die_are_replaced_and_nothing_is_done_twice(
    two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_MOST", 1)
    system, plan = case()
    written: list[int] = []
    killed: list[set[int]] = []
    write, deaths = store.Store.write, {3: 1, 8: 2}  # first one worker, later all there are

    def counted(self: store.Store, task: tasks.Task, rows: Any) -> None:
        write(self, task, rows)
        written.append(task.number)
        if len(written) in deaths:
            killed.append(kill(two, deaths[len(written)]))

    monkeypatch.setattr(store.Store, "write", counted)
    table = ct.sweep(system, plan, MEASURES, out=tmp_path / "sweep.parquet", engine=two)
    assert sorted(written) == list(range(len(plan)))
    assert len(killed) == 2
    assert set.union(*killed).isdisjoint(pids(two))
    assert_same(table, local())


def test_large_systems_and_overrides_give_the_same_bits(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
    system, plan = case()
    rich = ct.Override("nodes", {"node": next(iter(system.nodes["node"]))}, {"buffer": 1e9})
    scenarios = [*plan[:4], ct.Scenario(shocks=plan[0].shocks, overrides=(rich,))]
    here = ct.sweep(system, scenarios, MEASURES)  # first, so that workers find the machine code that this has compiled
    assert_same(ct.sweep(system, scenarios, MEASURES, engine=two), here)


def test_a_sweep_that_was_stopped_goes_on_over_workers(
    two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_MOST", 1)
    system, plan = case()
    out, write = tmp_path / "sweep.parquet", store.Store.write
    written: list[int] = []

    def stopped(self: store.Store, task: tasks.Task, rows: Any) -> None:
        if len(written) == 5:
            raise KeyboardInterrupt
        write(self, task, rows)
        written.append(task.number)

    with monkeypatch.context() as patched:
        patched.setattr(store.Store, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            ct.sweep(system, plan, MEASURES, out=out, engine=two)
    assert len(list((tmp_path / "sweep.parquet.parts").glob("task-*.parquet"))) == 5
    assert_same(ct.sweep(system, plan, MEASURES, out=out, engine=two), local())
    assert_nothing_is_left(two)


def assert_nothing_is_left(client: Any) -> None:
    """Assert that workers have let go of all that they kept, some time soon."""
    for _ in range(100):
        if not any(client.run(_what_is_kept).values()):
            return
        time.sleep(0.1)
    raise AssertionError(client.run(_what_is_kept))


def _what_is_kept() -> list[str]:
    from contagion.cluster import keeping

    return [*keeping._sent, *keeping._made]


def test_what_a_task_raises_comes_back(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    system, plan = case()
    broken = Engine.of(system, ("loss",))
    broken = broken._replace(reader=broken.reader._replace(places=(("nothing", 0),)))
    with pytest.raises(AttributeError, match="nothing"):
        list(over_cluster.solved(broken, plan, tasks.cut([0, 1], 1, 1, 0), two))


def test_an_engine_is_a_client_that_is_connected(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    system, plan = case()

    def refused(engine: Any, match: str) -> None:
        with pytest.raises(ct.InputError, match=match):
            ct.sweep(system, plan, engine=engine)

    refused("tcp://10.0.0.1:8786", r"engine is 'tcp://10\.0\.0\.1:8786'; give a distributed\.Client")
    with pytest.raises(ct.InputError, match="workers and engine are both given"):
        ct.sweep(system, plan, workers=2, engine=two)
    closed = distributed.Client(two.scheduler.address)
    closed.close()
    refused(closed, "engine is a client that is closed")
    monkeypatch.setattr(type(two), "asynchronous", True)
    refused(two, "engine is an asynchronous client")
    monkeypatch.setattr(clients, "find_spec", lambda _: None)
    refused(two, r'pip install "contagion\[distributed\]"')


def test_workers_with_another_version_are_refused(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpid()

    def found(package: str, real: Callable[[str], str] = version, absent: type = PackageNotFoundError) -> str:
        import os

        if os.getpid() == here:
            return real(package)
        if package == "numba":
            raise absent(package)
        return "0.0.1" if package == "contagion" else real(package)

    monkeypatch.setattr(clients, "version", found)
    with pytest.raises(ct.InputError) as caught:
        ct.sweep(*case(), engine=two)
    first, second = caught.value.problems
    assert first.startswith(f"engine: contagion is {version('contagion')} here, but worker tcp://")
    assert first.endswith("and 1 more has 0.0.1; install the same versions on all")
    assert "numba" in second
    assert "does not have it" in second


def test_nobody_to_do_the_work_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PATIENCE", 0.2)
    monkeypatch.setattr(waiting, "_LOOK", 0.1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty,
        distributed.Client(empty) as alone,
    ):
        with pytest.raises(ct.WorkersLost, match=r"no worker for 0\.2 seconds"):
            ct.sweep(*case(), engine=alone)
        with pytest.raises(ct.WorkersLost, match=r"no worker for 0\.2 seconds"):
            cluster.answers(alone, [alone.submit(os.getpid)], [])


def test_a_scheduler_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_MOST", 1)
    write, written = store.Store.write, list[int]()
    with dask.config.set({"distributed.comm.timeouts.connect": "5s"}):
        started = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0")
        orphan = distributed.Client(started.scheduler_address, timeout=5)

        def ending(self: store.Store, task: tasks.Task, rows: Any) -> None:
            write(self, task, rows)
            written.append(task.number)
            if len(written) == 3:
                started.close()

        monkeypatch.setattr(store.Store, "write", ending)
        with pytest.raises(ct.WorkersLost, match="the scheduler is gone"):
            ct.sweep(*case(), MEASURES, out=tmp_path / "sweep.parquet", engine=orphan)
        orphan.close()
    assert len(list((tmp_path / "sweep.parquet.parts").glob("task-*.parquet"))) == len(written)


def test_a_worker_that_lacks_what_is_prepared_says_where_it_is() -> None:
    system, plan = case()
    made = Engine.of(system, ("loss",), 10**9)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as local,
        distributed.Client(local) as here,
    ):
        (address,) = here.nthreads()
        assert here.submit(over_cluster.rows_of, "unheard of", (0,)).result() == address
        found = list(over_cluster.solved(made, plan, [tasks.Task(0, (0, 1))], here))
    assert found == [(tasks.Task(0, (0, 1)), [made.row(plan[0]), made.row(plan[1])])]


# ---------------------------------------------------------------------------------------------------------------------
# Systems in parts


def in_parts(seed: int, folder: Path, parts: int = 5) -> tuple[ct.Partitioned, ct.Scenario]:
    """Return a random system in parts of a few accounts each."""
    tables, scenario = random_tables(np.random.default_rng(seed), shorts=seed % 2 == 0, size="large")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chunks, "_ACCOUNTS", 7)  # where to cut; workers see each part as one chunk
        return ct.partition(to_system(tables), folder, parts=parts), to_scenario(scenario)


def assert_same_solution(one: ct.PartitionedSolution, other: ct.PartitionedSolution, folder: Path) -> None:
    for mine, yours in zip(one.settled.made.run.state, other.settled.made.run.state, strict=True):
        assert np.array_equal(mine, yours, equal_nan=True)
    for table in ("markets", "nodes", "quotes", "rounds", "prices"):
        assert_same(getattr(one, table), getattr(other, table))
    assert dict(one.totals) == dict(other.totals)
    for name, each in (("one", one), ("other", other)):
        each.write_accounts(folder / name)
        each.close()
    assert_same(pd.read_parquet(folder / "one"), pd.read_parquet(folder / "other"))


SEEDS = (1, 7)  # between them, funding, quotes, owners and claims


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_over_workers_give_the_same_bits(two: Any, seed: int, tmp_path: Path) -> None:
    system, scenario = in_parts(seed, tmp_path / "system")
    here = ct.solve(system, scenario, on_failure="return")
    there = ct.solve(system, scenario, on_failure="return", engine=two)
    assert isinstance(there.parts, ClusterParts)
    assert set(there.parts._home) == set(two.nthreads())
    assert_same_solution(there, here, tmp_path)
    assert_nothing_is_left(two)


def test_the_random_systems_hold_what_is_hard_to_add_up(tmp_path: Path) -> None:
    systems = [in_parts(seed, tmp_path / str(seed)) for seed in SEEDS]
    small, accounts = [system.small for system, _ in systems], [system.part(0).accounts for system, _ in systems]
    assert all(len(each.funding) for each in small)
    assert all(len(each.quotes) for each in small)
    assert any(each["owner"].isin(small[0].nodes["node"]).any() for each in accounts)
    assert any(len(system.part(0).claims) for system, _ in systems)


def test_what_is_wrong_with_parts_is_said_as_here(two: Any, tmp_path: Path) -> None:
    system, scenario = in_parts(1, tmp_path / "system")
    first, second = (tmp_path / "system" / "accounts" / name for name in system.names[:2])
    rows = pd.read_parquet(second)
    taken = pd.read_parquet(first)["account"].iloc[0]
    positions = tmp_path / "system" / "positions" / second.name
    held = pd.read_parquet(positions)
    renamed = {rows["account"].iloc[0]: taken}
    rows.assign(account=rows["account"].replace(renamed)).to_parquet(second)
    held.assign(account=held["account"].replace(renamed)).to_parquet(positions)
    refused = [_refusal(system, scenario, engine) for engine in (None, two)]
    assert refused[0] == refused[1]
    assert "in more than one part" in refused[1][0]
    rows.assign(platform="nowhere").to_parquet(second)
    refused = [_refusal(system, scenario, engine) for engine in (None, two)]
    assert refused[0] == refused[1]
    assert "nowhere" in "".join(refused[1])
    nodes = system.small.nodes.assign(buffer=np.inf)
    nodes.to_parquet(tmp_path / "system" / "nodes.parquet")
    system, scenario = ct.open_partitioned(system.folder), ct.Scenario(shocks={"nothing": 0.1})
    for left in ("nowhere", "nobody"):  # and once without anything wrong in the parts themselves
        refused = [_refusal(system, scenario, engine) for engine in (None, two)]
        assert refused[0] == refused[1]
        assert [word in "".join(refused[1]) for word in ("buffer inf", "'nothing'", "nowhere")] == [
            True,
            True,
            left == "nowhere",
        ]
        rows.to_parquet(second)
        held.to_parquet(positions)
    assert_nothing_is_left(two)
    with pytest.raises(ct.InputError, match=r"give a distributed\.Client"):
        ct.solve(system, scenario, engine="somebody")  # type: ignore[call-overload]


def _refusal(system: ct.Partitioned, scenario: ct.Scenario, engine: Any) -> tuple[str, ...]:
    with pytest.raises(ct.InputError) as caught:
        ct.solve(system, scenario, engine=engine)
    return caught.value.problems


def test_workers_that_die_in_a_solve_are_replaced(two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, scenario = in_parts(1, tmp_path / "system")
    here = ct.solve(system, scenario)
    assert len(here.rounds) > 8
    react, killed, rounds = ClusterParts.react, list[set[int]](), list[int]()

    def counted(self: ClusterParts, number: int, at: Any, funds: Any) -> Any:
        rounds.append(number)
        if number == 3:
            killed.append(kill(two, 1))
        return react(self, number, at, funds)

    monkeypatch.setattr(ClusterParts, "react", counted)
    there = ct.solve(system, scenario, engine=two)
    assert rounds == list(range(1, len(here.rounds) + 1))
    assert len(killed) == 1
    assert killed[0].isdisjoint(pids(two))
    assert_same_solution(there, here, tmp_path)


@pytest.fixture(scope="module")
def threads() -> Iterator[Any]:
    """Return a client of workers that are threads of this process."""
    started = distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0")
    with started as local, distributed.Client(local) as made:
        yield made


def test_a_worker_that_has_lost_its_parts_makes_them_again(
    threads: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, scenario = in_parts(1, tmp_path / "system")
    react, ask = ClusterParts.react, ClusterParts.ask

    def lossy(self: ClusterParts, number: int, at: Any, funds: Any) -> Any:
        if number == 3:
            keeping._made.clear()
        if number == 5:
            react(self, number, at, funds)  # answers may be asked for twice
            self._told.pop()
        return react(self, number, at, funds)

    def forgetful(self: ClusterParts, at: Any) -> Any:
        if len(self._told) == 6:
            keeping._sent.clear()
            next(iter(keeping._made.values())).clear()
        return ask(self, at)

    monkeypatch.setattr(ClusterParts, "react", lossy)
    monkeypatch.setattr(ClusterParts, "ask", forgetful)
    there = ct.solve(system, scenario, engine=threads)
    assert_same_solution(there, ct.solve(system, scenario), tmp_path)


def test_files_that_change_in_the_middle_are_found_out(
    threads: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, scenario = in_parts(1, tmp_path / "system")
    react = ClusterParts.react

    def changing(self: ClusterParts, number: int, at: Any, funds: Any) -> Any:
        if number == 3:
            keeping._made.clear()
            for file in (tmp_path / "system" / "positions").iterdir():
                rows = pd.read_parquet(file)
                rows.assign(quantity=rows["quantity"] * 2.0).to_parquet(file)
        return react(self, number, at, funds)

    monkeypatch.setattr(ClusterParts, "react", changing)
    with pytest.raises(ct.InputError, match=r"positions/part-0000\d\.parquet has changed, or gone, since the solve"):
        ct.solve(system, scenario, engine=threads)


def test_accounts_are_not_written_from_other_files_than_were_solved(threads: Any, tmp_path: Path) -> None:
    system, scenario = in_parts(1, tmp_path / "system")
    made = ct.solve(system, scenario, engine=threads)
    first, second = (tmp_path / "system" / "accounts" / name for name in system.names[:2])
    rows = pd.read_parquet(second)
    rows.assign(cash=rows["cash"] + 1.0).to_parquet(second)
    first.unlink()
    with pytest.raises(ct.InputError, match=f"accounts/{first.name}, accounts/{second.name} have changed, or gone"):
        made.write_accounts(tmp_path / "accounts")
    assert [path.name for path in tmp_path.iterdir()] == ["system"]
    made.close()
    with pytest.raises(ct.InputError, match="the solution is closed"):
        made.write_accounts(tmp_path / "accounts")


def test_accounts_are_written_while_the_client_is_there(tmp_path: Path) -> None:
    system, scenario = in_parts(1, tmp_path / "system")
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as machine,
        distributed.Client(machine) as there,
    ):
        made = ct.solve(system, scenario, engine=there)
    with pytest.raises(ct.InputError, match="engine is a client that is closed; give one that is connected"):
        made.write_accounts(tmp_path / "accounts")
    assert [path.name for path in tmp_path.iterdir()] == ["system"]


def test_workers_that_do_not_see_the_folder_say_so(threads: Any, tmp_path: Path) -> None:
    system, scenario = in_parts(1, tmp_path / "system")
    (tmp_path / "system").rename(tmp_path / "elsewhere")
    with pytest.raises(ct.InputError, match="does not see it; put the system in a folder that all machines share"):
        ct.solve(system, scenario, engine=threads)


def test_what_callers_left_behind_is_cleared(threads: Any) -> None:
    keeping._made["Client-dead/1"] = {0: "a part"}
    keeping._sent["Client-dead/1"] = "a plan"
    mine = cluster.Kept.by(threads, "a thing")
    assert _what_is_kept() == [mine.word]
    assert cluster.kept(mine.word) == "a thing"
    mine.drop()
    assert_nothing_is_left(threads)


def test_a_worker_that_is_dying_is_no_other_version(two: Any) -> None:
    kill(two, 1)
    clients.ready(two)
