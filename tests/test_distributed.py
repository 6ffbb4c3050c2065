"""A Dask cluster as the engine: the same bits as on this machine, whoever dies."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import contagion as ct
from contagion import cluster
from contagion.cluster import clients
from contagion.kernels import chunks
from contagion.sweep import over_cluster, store, tasks
from contagion.sweep.engine import Engine
from tests.systems import draw

distributed = pytest.importorskip("distributed", reason="needs the extra: pip install contagion[distributed]")

pytestmark = pytest.mark.xdist_group("cluster")  # starting one takes seconds: all its tests share it

MEASURES = ["loss", "liquidated", "deficit"]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    started = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    )
    with started as local, distributed.Client(local) as made:
        yield made
        made.cancel([])


@pytest.fixture
def two(client: Any) -> Any:
    """Return a client of two workers, after whatever a test before has done to them."""
    client.wait_for_workers(2, timeout=60)
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


def kill(client: Any, count: int) -> set[int]:
    """Kill some workers the hard way."""
    victims = sorted(client.run(os.getpid).values())[:count]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    return set(victims)


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_sweep_gives_the_same_bits(two: Any) -> None:
    system, plan = case()
    assert_same(ct.sweep(system, plan, MEASURES, engine=two), local())


def test_large_systems_and_overrides_give_the_same_bits(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "COMPILED_FROM", 0)
    system, plan = case()
    rich = ct.Override("nodes", {"node": next(iter(system.nodes["node"]))}, {"buffer": 1e9})
    scenarios = [*plan[:4], ct.Scenario(shocks=plan[0].shocks, overrides=(rich,))]
    here = ct.sweep(system, scenarios, MEASURES)  # first, so that workers find the machine code that this has compiled
    assert_same(ct.sweep(system, scenarios, MEASURES, engine=two), here)


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
    assert set.union(*killed).isdisjoint(two.run(os.getpid).values())
    assert_same(table, local())


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
    assert not any(two.run(_what_is_kept).values())


def _what_is_kept() -> list[str]:
    from contagion.cluster import keeping

    return list(keeping._here)


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
    monkeypatch.setattr(clients, "_LOOK", 0.1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty,
        distributed.Client(empty) as alone,
    ):
        with pytest.raises(ct.WorkersLost, match=r"no worker for 0\.2 seconds"):
            ct.sweep(*case(), engine=alone)
        with pytest.raises(ct.WorkersLost, match=r"no worker for 0\.2 seconds"):
            cluster.finished(alone, [alone.submit(os.getpid)])


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
