"""Tipping points: by hand, warm against cold, and the search itself."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given

import contagion as ct
from contagion.money import usd
from contagion.stress import TippingPoint, tipping_point
from contagion.stress.tipping import _leftmost, _Point
from tests.stress_systems import borrowers, examples, seeds, shuffled
from tests.systems import draw, loose
from tests.test_properties import isotone

few = examples(4)


def test_one_account_by_hand() -> None:
    """Closed once 8 × 0.9^t < 7.6: t = ln 0.95 / ln 0.9; then it sells at 0.9^t (1 − 0.99^5)/(5k), less 5 %."""
    point = tipping_point(borrowers(7.6), ct.Scenario(shocks={"A": 0.1}))
    tips = math.log(0.95) / math.log(0.9)
    assert point.found
    assert point.below <= tips < point.above <= point.below + 1e-3
    assert point.loss_below == pytest.approx(10 * (1 - 0.9**point.below), rel=1e-12)
    average = (1 - 0.99**5) / (-5 * math.log(0.99))
    proceeds = 9.5 * 0.9**point.above * average
    assert point.loss_above == pytest.approx(2.4 - (proceeds - 7.6), rel=1e-12)
    scenario_loss = ct.solve(borrowers(7.6), ct.Scenario(shocks={"A": 0.1})).totals["loss"]
    assert point.jump == pytest.approx(0.1 * scenario_loss, rel=1e-12)


def test_the_leftmost_of_two_jumps_is_the_tipping_point() -> None:
    """With a deep market one account does not bring down the other: 8 × 0.9^t < 7.6 and then < 6.8."""
    system, scenario = borrowers(7.6, 6.8, depth=1e9), ct.Scenario(shocks={"A": 0.1})
    first, second = (math.log(debt / 8) / math.log(0.9) for debt in (7.6, 6.8))
    point = tipping_point(system, scenario, accuracy=1e-5)
    assert point.below <= first < point.above
    later = tipping_point(system, scenario, between=(1.0, 2.0), accuracy=1e-5)
    assert later.below <= second < later.above
    assert later.above - later.below <= 1e-5


def test_no_jump_is_said_plainly() -> None:
    point = tipping_point(borrowers(1.0), ct.Scenario(shocks={"A": 0.1}))
    assert not point.found
    assert all(math.isnan(value) for value in (point.below, point.above, point.loss_below, point.loss_above))
    said = (
        f"No tipping point: from ×0 to ×2 the loss never jumps by {usd(point.jump)} or more ({len(point.curve)} solves)"
    )
    assert (str(point), repr(point)) == (said, f"TippingPoint({said})")
    assert len(point.curve) >= 21  # and where it is steep some more


def test_nothing_to_lose_has_no_tipping_point() -> None:
    point = tipping_point(borrowers(7.6), ct.Scenario())
    assert not point.found
    assert point.jump == 0.0
    assert (point.curve["loss"] == 0.0).all()
    assert str(point) == f"No tipping point: nothing is lost up to ×2 ({len(point.curve)} solves)"


def test_the_result_reads_well_and_cannot_be_changed() -> None:
    point = tipping_point(borrowers(7.6), ct.Scenario(shocks={"A": 0.1}))
    between = f"between ×{point.below:.6g} and ×{point.above:.6g}"
    amounts = [usd(each) for each in (point.loss_above - point.loss_below, point.loss_below, point.loss_above)]
    jumps = "the loss jumps by {}, from {} to {}".format(*amounts)
    counted = f"(a jump is {usd(point.jump)} or more; {len(point.curve)} solves)"
    assert str(point) == f"The scenario tips {between}: {jumps} {counted}"
    assert repr(point) == f"TippingPoint({point})"
    curve = point.curve
    curve["loss"] = 0.0
    assert point.curve["loss"].max() > 0.0
    assert point.curve.columns.tolist() == ["multiple", "loss", "liquidated", "rounds", "converged"]
    assert point.curve["multiple"].is_monotonic_increasing
    assert point.curve["multiple"].is_unique
    with pytest.raises(AttributeError):
        point.found = False  # type: ignore[misc]


@few
@given(seeds)
def test_every_point_of_the_curve_is_a_solve_of_the_scaled_scenario(seed: int) -> None:
    """Long-only systems set out from a smaller multiple, the others from zero; both end where a cold solve does."""
    system, scenario = isotone(seed) if seed % 2 else draw(seed)
    point = tipping_point(system, scenario, accuracy=0.05)
    for row in point.curve[point.curve["converged"]].itertuples():
        cold = ct.solve(system, scenario.scaled(loose(row).multiple), on_failure="return")
        assert cold.converged
        assert loose(row).loss == pytest.approx(cold.totals["loss"], rel=1e-9, abs=1e-9)
        assert loose(row).liquidated == pytest.approx(cold.totals["liquidated"], rel=1e-9, abs=1e-9)


@few
@given(seeds)
def test_the_bracket_is_where_the_loss_first_jumps(seed: int) -> None:
    """In long-only systems a fine grid, solved from zero, finds no jump to the left of it, and one over it."""
    system, scenario = isotone(seed)
    point = tipping_point(system, scenario, accuracy=0.01)
    assume(point.found)
    assert point.loss_above - point.loss_below >= point.jump
    assert 0.0 < point.above - point.below <= 0.01
    multiples = np.append(np.arange(0.0, point.below, 0.005), point.below)[-8:]
    losses = [ct.solve(system, scenario.scaled(float(multiple))).totals["loss"] for multiple in multiples]
    assert (np.diff(losses) < point.jump).all()


@few
@given(seeds)
def test_the_order_of_rows_changes_no_bit(seed: int) -> None:
    system, scenario = draw(seed)
    one, two = (
        tipping_point(tables, scenario, between=(0.0, 1.0), accuracy=0.05)
        for tables in (system, shuffled(system, seed))
    )
    pd.testing.assert_frame_equal(one.curve, two.curve, check_exact=True)
    assert repr(one) == repr(two)


def steps(at: float, size: float, slope: float = 0.0) -> list[_Point]:
    return [_Point(t, slope * t + size * (t >= at), None) for t in (0.0, 1.0)]


def test_the_search_stops_at_the_resolution_of_numbers_and_counts_infinite_losses() -> None:
    def solved(multiple: float, _: object) -> _Point:
        return _Point(multiple, math.inf if multiple >= 0.3 else 1.0, None)

    bracket = _leftmost([solved(0.0, None), solved(1.0, None)], solved, 5.0, 1e-300)
    assert bracket is not None
    assert math.nextafter(bracket[0].multiple, 1.0) == bracket[1].multiple == 0.3
    assert _leftmost(steps(0.5, 4.0, 0.9), solved, 5.0, 1e-3) is None


def test_overrides_apply_at_every_multiple() -> None:
    calm = ct.Override("accounts", {"account": "a0"}, {"cash": 0.0})
    point = tipping_point(borrowers(7.6), ct.Scenario(shocks={"A": 0.1}, overrides=(calm,)))
    assert not point.found


def test_progress_is_shown_on_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(tipping_point(borrowers(7.6), ct.Scenario(shocks={"A": 0.1}), progress=True), TippingPoint)
    shown = capsys.readouterr()
    assert "multiples" in shown.err
    assert not shown.out


def test_bad_arguments_are_named_together() -> None:
    with pytest.raises(ct.InputError) as caught:
        tipping_point(borrowers(7.6), None, (1.0, 0.5), -1.0, 0)  # type: ignore[arg-type]
    assert caught.value.problems == (
        "scenario is a NoneType; give the Scenario to multiply",
        "between is (1.0, 0.5); give two numbers (low, high), 0 ≤ low < high",
        "accuracy is -1.0; give a positive width of the bracket",
        "max_rounds is 0; give a whole number of at least 1",
    )
    with pytest.raises(ct.InputError, match="2 problems"):
        tipping_point(None, ct.Scenario(), (True, 2))  # type: ignore[arg-type]
    with pytest.raises(ct.InputError, match="did you mean 'A'"):
        tipping_point(borrowers(7.6), ct.Scenario(shocks={"a": 0.1}))
