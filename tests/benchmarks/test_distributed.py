"""What a round over workers takes beyond what its parts take to compute."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contagion as ct
from contagion import cluster, generate

distributed = pytest.importorskip("distributed", reason="needs the extra: pip install contagion[distributed]")

MOST = 0.020
"""Seconds a round, the goal for two workers."""


@pytest.fixture
def client() -> Iterator[Any]:
    started = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    )
    with started as local, distributed.Client(local) as made:
        yield made


def test_a_round_over_two_workers(
    benchmark: BenchmarkFixture, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = generate.partitioned(tmp_path / "system", accounts=20_000, parts=4, seed=7)
    system = ct.open_partitioned(tmp_path / "system")
    beyond: list[tuple[str, float]] = []
    at_once = cluster.at_once

    def timed(asked: Any, function: Any, given: Any) -> Any:
        start = time.perf_counter()
        found = at_once(asked, function, given)
        computing = max(answers.seconds for answers in found.values())
        beyond.append((next(iter(given.values()))[1].act, time.perf_counter() - start - computing))
        return found

    monkeypatch.setattr(cluster, "at_once", timed)
    solution = benchmark.pedantic(lambda: ct.solve(system, scenario, engine=client), rounds=3, warmup_rounds=1)
    calls = {act: sorted(seconds for each, seconds in beyond if each == act) for act in ("ask", "react")}
    least = sum(each[0] for each in calls.values())
    middle = sum(each[len(each) // 2] for each in calls.values())
    sys.stderr.write(
        f"\nbeyond computing, a round of {len(calls)} calls: {1e3 * least:.1f} ms at best, "
        f"{1e3 * middle:.1f} ms in the median, {len(solution.rounds)} rounds\n"
    )
    assert least <= MOST
