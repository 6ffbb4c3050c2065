"""Systems in parts against the same systems in memory: the same bits, whatever the cuts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.kernels import chunks
from tests.random_systems import random_tables
from tests.systems import to_scenario, to_system


def drawn(seed: int) -> tuple[ct.System, ct.Scenario]:
    tables, scenario = random_tables(np.random.default_rng(seed), shorts=seed % 2 == 0, size="large")
    return to_system(tables), to_scenario(scenario)


def assert_same_bits(want: ct.Solution, got: ct.PartitionedSolution) -> None:
    state, other = want.parts.run.state, got.settled.made.run.state
    for name in ("log_drop", "withdrawn", "haircut", "average"):
        assert np.array_equal(getattr(state, name), getattr(other, name), equal_nan=True), name
    assert want.converged == got.converged
    assert want.prices.equals(got.prices)
    skipped = ["evaluated_count"]
    assert want.rounds.drop(columns=skipped).equals(got.rounds.drop(columns=skipped))
    assert want.quotes.equals(got.quotes)
    assert want.markets.equals(got.markets)


@pytest.mark.parametrize("seed", range(30))
def test_a_partition_has_the_bits_of_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int) -> None:
    monkeypatch.setattr(chunks, "_ACCOUNTS", 7)
    system, scenario = drawn(seed)
    want = ct.solve(system, scenario, on_failure="return")
    parted = ct.partition(system, tmp_path / "parts", parts=1 + seed % 5)
    assert len(parted.names) == 1 + seed % 5
    got = ct.solve(parted, scenario, on_failure="return")
    assert_same_bits(want, got)
    pd.testing.assert_frame_equal(got.nodes, want.nodes, rtol=1e-11, atol=1e-9)
    assert dict(got.totals) == pytest.approx(dict(want.totals), rel=1e-11, abs=1e-9)
    got.write_accounts(tmp_path / "accounts")
    table = pd.read_parquet(tmp_path / "accounts").set_index("account")
    pd.testing.assert_frame_equal(table.loc[want.accounts.index], want.accounts, check_dtype=False, rtol=0, atol=0)
    got.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accounts", "parts"]
