"""Attribution by rounds: it adds up whatever hedges do, and is the secant view where the two must agree."""

import numpy as np
import pytest

import contagion as ct
from tests.seeds import some
from tests.systems import draw
from tests.test_attribution import worked_example


@pytest.mark.parametrize("shorts", [True, False])
def test_sources_add_up_to_the_loss(shorts: bool) -> None:
    for seed in some(20):
        solution = ct.solve(*draw(seed, shorts), on_failure="return")
        found, loss = ct.provenance(solution), solution.totals["loss"]
        assert found["usd"].sum() == pytest.approx(loss, rel=1e-9, abs=1e-12), seed
        assert found["secant_usd"].sum() == pytest.approx(loss, rel=1e-9, abs=1e-12), seed


def test_one_round_of_sales_by_hand() -> None:
    """The only sale follows the shock alone, so all that the sale does is the shock's, but for the thinned depth.

    G = 10·ln(1/0.99) = 0.1005034 after the sale, a quarter of it the depth factor's; H = 0.0498308 likewise. The share
    was sold in round 1, when the shock of −ln 0.9 had moved the price and nothing else: λ is the shock's alone.
    """
    found = ct.provenance(worked_example())
    sigma = 0.15519140
    of_sale = 0.25 * 0.0498308 / sigma
    proceeds = 9.5 * (1.0 - np.exp(-sigma))
    assert found.loc["depth:x", "usd"] == pytest.approx(proceeds * of_sale, rel=1e-5)
    assert found["usd"].sum() == pytest.approx(1.865612546769761, rel=1e-12)


def test_without_triggers_both_views_agree() -> None:
    looked_at = 0
    for seed in some(60):
        solution = ct.solve(*draw(seed, shorts=False))
        if solution.parts.run.state.liquidated.any() or solution.parts.run.state.withdrawn.any():
            continue
        found = ct.provenance(solution)
        if (solution.nodes["haircut"] == 0.0).all():
            np.testing.assert_allclose(found["usd"], found["secant_usd"], rtol=1e-9, atol=1e-9)
            looked_at += 1
    assert looked_at >= max(1, len(some(60)) // 12)


def test_all_of_the_loss_has_the_only_source() -> None:
    system, _ = ct.generate.system(accounts=200)
    asset = str(system.assets["asset"].iloc[0])
    found = ct.provenance(ct.solve(system, ct.Scenario(shocks={asset: 0.4})))
    assert found.loc[f"shock:{asset}", "share"] == pytest.approx(1.0, abs=1e-12)


def test_wrong_arguments() -> None:
    with pytest.raises(ct.InputError, match="2 problems") as error:
        ct.provenance("solution", progress="yes")  # type: ignore[arg-type]
    assert "solution is a str; give a Solution" in str(error.value)
    assert "progress is a str; give True or False" in str(error.value)
