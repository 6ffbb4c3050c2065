"""Every column of every table of a solution: by hand on one system of nine accounts, by plain loops on random ones."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from tests.seeds import some
from tests.systems import draw, loose, to_system
from tests.test_loss_graph import TABLES

Row = dict[str, Any]

INF = math.inf
NAN = math.nan
K = -math.log(0.99)
"""Log drop of a sale of x = 1."""
SEEDS = some(45)


def near(want: float) -> Any:
    return pytest.approx(want, rel=1e-12, abs=1e-12, nan_ok=True)


def assert_rows(frame: pd.DataFrame, want: Mapping[Any, Row]) -> None:
    """Assert that the frame has just these rows and columns, in any order of the columns."""
    assert list(frame.index) == list(want)
    for name, row in want.items():
        assert set(frame.columns) == set(row), name
        for column, value in row.items():
            got = loose(frame).loc[name, column]
            got = None if got is pd.NA else got
            assert got == (near(value) if isinstance(value, float) else value), f"{name} {column}"


# ---------------------------------------------------------------------------------------------------------------------
# One system by hand. A falls by 10 %: a, on x, is closed in full, l, on y, stops out, and both sell A. The issuer of
# S has lost 110 and is in default: that cuts S and takes 43 % of m's quotes. In the thinner market A falls so far
# that c is called, which s funds by selling S. W follows A. a leaves a deficit that x's buffer does not cover; h, whose
# oracle reads 100 whatever happens, owes more than it has; n belongs to the fund; w is short and wins.


def desk() -> ct.System:
    y = {"platform": "y", "asset": "A"}
    return ct.System(
        nodes=pd.DataFrame(
            [
                {"node": "x", "kind": "exchange", "buffer": 50.0, "liabilities": 300.0, "close_rule": "full"},
                {"node": "y", "kind": "exchange", "call_level": 1.1, "target_level": 1.2},
                {"node": "z", "kind": "exchange", "margin_rule": "maintenance", "domain": "tradfi"},
                {"node": "lend", "kind": "protocol", "domain": "defi", "buffer": 3.0},
                {"node": "iss", "buffer": 10.0, "liabilities": 500.0, "recovery_rate": 0.8},
                {"node": "fund", "buffer": 1_000.0},
            ]
        ),
        assets=pd.DataFrame([{"asset": "W"}, {"asset": "A"}, {"asset": "S", "issuer": "iss"}, {"asset": "U"}]),
        markets=pd.DataFrame(
            [
                {"market": "x:W", "venue": "x", "asset": "W", "price": 200.0, "depth": 10.0, "pegged_to": "x:A"},
                {"market": "x:A", "venue": "x", "asset": "A", "price": 100.0, "depth": 40.0},
                {"market": "z:A", "venue": "z", "asset": "A", "price": 102.0, "depth": 20.0, "impact": "linear"},
                {"market": "x:S", "venue": "x", "asset": "S", "price": 1.0, "depth": INF},
                {"market": "x:U", "venue": "x", "asset": "U", "price": 1.0, "depth": INF},
            ]
        ),
        terms=pd.DataFrame(
            [
                {"platform": "x", "asset": "A", "weight": 0.8, "cost": 0.05},
                {"platform": "x", "asset": "U", "maintenance": 0.01},
                {**y, "weight": 0.8, "maintenance": 0.05, "cost": 0.03},
                {"platform": "y", "asset": "W", "weight": 0.5},
                {"platform": "y", "asset": "S", "cost": 0.1},
                {"platform": "z", "asset": "A", "maintenance": 0.1},
                {"platform": "lend", "asset": "A", "weight": 0.9, "cost": 0.05},
            ]
        ),
        oracles=pd.DataFrame(
            [
                {**y, "market": "x:A", "weight": 0.75},
                {**y, "weight": 0.25, "value": 100.0},
                {"platform": "lend", "asset": "A", "value": 100.0},
            ]
        ),
        routes=pd.DataFrame([{**y, "market": "x:A", "share": 0.6}, {**y, "market": "z:A", "share": 0.4}]),
        accounts=pd.DataFrame(
            [
                {"account": "w", "platform": "z", "cash": 30.0},
                {"account": "a", "platform": "x", "group": "whale"},
                {"account": "l", "platform": "y", "group": "trader", "stop_loss": 0.93},
                {"account": "c", "platform": "y", "call_policy": "fund"},
                {"account": "s", "platform": "y", "owner": "the desk", "group": "desk"},
                {"account": "m", "platform": "x", "cash": 40.0},
                {"account": "n", "platform": "y", "owner": "fund", "cash": 80.0},
                {"account": "h", "platform": "lend", "cash": -440.0},
                {"account": "o", "platform": "lend"},
            ]
        ),
        positions=pd.DataFrame(
            [
                {"account": "a", "asset": "A", "quantity": 10.0},
                {"account": "a", "asset": "U", "side": "debt", "quantity": 790.0},
                {"account": "l", "asset": "A", "quantity": 2.0},
                {"account": "c", "asset": "A", "quantity": 4.0},
                {"account": "c", "asset": "U", "side": "debt", "quantity": 250.0},
                {"account": "s", "asset": "S", "quantity": 300.0},
                {"account": "n", "asset": "A", "side": "perp", "quantity": 1.0, "entry_price": 99.0},
                {"account": "n", "asset": "W", "quantity": 2.0},
                {"account": "h", "asset": "A", "quantity": 5.0},
                {"account": "w", "asset": "A", "side": "perp", "quantity": -2.0, "entry_price": 103.0},
            ]
        ),
        claims=pd.DataFrame(
            [
                {"creditor": "m", "debtor": "iss", "amount": 60.0},
                {"creditor": "fund", "debtor": "x", "amount": 100.0},
            ]
        ),
        quotes=pd.DataFrame(
            [
                {"account": "m", "market": "x:A", "depth": 30.0},
                {"account": "a", "market": "z:A", "depth": 0.0, "full_at": 0.8, "withdrawn_at": 0.7},
            ]
        ),
        funding=pd.DataFrame([{"account": "c", "source": "s"}]),
    )


SCENARIO = ct.Scenario(
    shocks={"A": 0.1, "z:A": 0.05, "W": 0.02}, depth={"x:A": 0.5, "z": 2.0}, losses={"iss": 110.0, "lend": 7.0}
)


@cache
def solved() -> ct.Solution:
    return ct.solve(desk(), SCENARIO)


class Hand(NamedTuple):
    """Prices after one round of the system above, and what follows from them; all in plain numbers."""

    x: float  # price of A at x
    vx: float  # what sellers of A get there
    z: float
    vz: float
    w: float  # price of W
    s: float  # price of S
    need: float  # that c asks for
    lam: float  # share of s that is sold for it
    deficit: float  # of a
    gone: float  # share of m's quotes that is withdrawn
    cut: float  # haircut on claims on x


THETA = 1 - 0.8 * (1 - (110 - 10) / 500)  # haircut on claims on the issuer
GONE = (1 - (40 + 60 * (1 - THETA)) / 100) / (1 - 0.5)  # m has 40 in cash and 60 owed by the issuer
SOLD_X = 10 * 100.0 + 2 * 0.6 * 100.0  # a's, and the share of l's that is routed there
SOLD_Z = 2 * 0.4 * 102.0
X_Z = SOLD_Z / (2.0 * 20.0)  # the scenario doubles the depth of z


def depth_of_x(gone: float) -> float:
    return 0.5 * (40 + 30 * (1 - gone))


def call(x: float, s: float) -> tuple[float, float]:
    """Return what c asks for at a price of A at x, and the share of s that is sold for it at a price of S."""
    weighted = 0.8 * 4 * (0.75 * x + 0.25 * 100)
    if weighted >= 1.1 * 250:
        return 0.0, 0.0
    need = 1.2 * 250 - weighted
    return need, need / (0.9 * 300 * s)


def timeline() -> list[Hand]:
    """Return the start and four rounds, each from the prices of the one before."""
    z, vz = 102 * 0.95 * (1 - 0.01 * X_Z), 102 * 0.95 * (1 - 0.005 * X_Z)
    path = [Hand(90.0, 90.0, 102 * 0.95, 102 * 0.95, 200 * 0.98 * 0.9, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)]
    for number in (1, 2, 3, 4):
        old = path[-1]
        need, lam = call(old.x, old.s)
        deficit = max(0.0, 790 - 0.95 * 10 * old.vx)
        gone = 0.0 if number == 1 else GONE  # by the old haircut
        pressure = SOLD_X / depth_of_x(gone)
        x, vx = 90 * 0.99**pressure, 90 * (1 - 0.99**pressure) / (pressure * K)
        cut = max(0.0, deficit - 50) / 300
        path.append(Hand(x, vx, z, vz, 200 * 0.98 * old.x / 100, 1 - THETA, need, lam, deficit, gone, cut))
    return path


START, *ROUNDS = timeline()
END = ROUNDS[-1]


def test_the_system_by_hand_does_what_its_description_says() -> None:
    assert solved().converged
    assert START.need == 0.0
    assert ROUNDS[0].need == 0.0 < ROUNDS[1].need < ROUNDS[2].need == END.need
    assert 0.0 < END.lam < 1.0
    assert END.cut > 0.0
    assert ROUNDS[2] == END  # the fourth round moves nothing


def log_parts(before: float, after: float, **logs: float) -> Row:
    """Return a drop and its parts, each cause's log drop in proportion."""
    names = ("shock", "peg", "issuer", "sales", "depth")
    drop, total = 1 - after / before, math.log(before / after)
    assert math.fsum(logs.values()) == near(total)
    scale = drop / total if total else 0.0
    return {"drop": drop, **{f"drop_{name}": scale * logs.get(name, 0.0) for name in names}}


def test_markets() -> None:
    left = depth_of_x(GONE) / 70
    impact = K * SOLD_X / depth_of_x(GONE)
    assert_rows(
        solved().markets,
        {
            "x:W": {
                "venue": "x",
                "asset": "W",
                "price_before": 200.0,
                "price": 200 * 0.98 * END.x / 100,
                "average_price": 200 * 0.98 * END.x / 100,
                "sold": 0.0,
                "pressure": 0.0,
                "depth_before": 10.0,
                "depth": 10.0,
                **log_parts(200.0, END.w, shock=-math.log(0.98), peg=math.log(100 / END.x)),
            },
            "x:A": {
                "venue": "x",
                "asset": "A",
                "price_before": 100.0,
                "price": END.x,
                "average_price": END.vx,
                "sold": 1120.0,
                "pressure": 1120 / depth_of_x(GONE),
                "depth_before": 70.0,
                "depth": depth_of_x(GONE),
                **log_parts(
                    100.0,
                    END.x,
                    shock=-math.log(0.9),
                    sales=impact * (1 + left) / 2,
                    depth=impact * (1 - left) / 2,
                ),
            },
            "z:A": {
                "venue": "z",
                "asset": "A",
                "price_before": 102.0,
                "price": END.z,
                "average_price": END.vz,
                "sold": 81.6,
                "pressure": 81.6 / 40,
                "depth_before": 20.0,
                "depth": 40.0,
                **log_parts(102.0, END.z, shock=-math.log(0.95), sales=-math.log(1 - 0.01 * 81.6 / 40)),
            },
            "x:S": {
                "venue": "x",
                "asset": "S",
                "price_before": 1.0,
                "price": 1 - THETA,
                "average_price": 1 - THETA,
                "sold": 300 * END.lam,
                "pressure": 0.0,
                "depth_before": INF,
                "depth": INF,
                **log_parts(1.0, 1 - THETA, issuer=-math.log(1 - THETA)),
            },
            "x:U": {
                "venue": "x",
                "asset": "U",
                "price_before": 1.0,
                "price": 1.0,
                "average_price": 1.0,
                "sold": -790.0,  # bought back
                "pressure": 0.0,
                "depth_before": INF,
                "depth": INF,
                **log_parts(1.0, 1.0),
            },
        },
    )


def mix(x: float, z: float) -> float:
    """Return the price of A on the route of y."""
    return 0.6 * x + 0.4 * z


def both(x: float, z: float) -> float:
    """Return the price of A on the route of lend, which has no market and no row of routes: by depth, 40 and 20."""
    return (2 * x + z) / 3


class Line(NamedTuple):
    """W, D, M, E, V and gross assets."""

    W: float
    D: float
    M: float
    E: float
    V: float
    gross: float


def lines(x: float, vx: float, z: float, vz: float, w: float, s: float, theta: float) -> dict[str, Line]:
    seen = 0.75 * x + 25  # what y reads
    y, vy = mix(x, z), mix(vx, vz)
    return {
        "w": Line(30 - 2 * (z - 103), 0.0, 0.1 * 2 * z, 30 - 2 * (z - 103), 30 - 2 * (vz - 103), 30 + 2 * z),
        "a": Line(0.8 * 10 * x, 790.0, 0.01 * 790, 10 * x - 790, 0.95 * 10 * vx - 790, 10 * x),
        "l": Line(0.8 * 2 * seen, 0.0, 0.0, 2 * y, 0.97 * 2 * vy, 2 * y),
        "c": Line(0.8 * 4 * seen, 250.0, 0.0, 4 * y - 250, 0.97 * 4 * vy - 250, 4 * y),
        "s": Line(0.0, 0.0, 0.0, 300 * s, 0.9 * 300 * s, 300 * s),
        "m": Line(40.0, 0.0, 0.0, 40 + 60 * (1 - theta), 40 + 60 * (1 - theta), 40 + 60 * (1 - theta)),
        "n": Line(
            80 + (seen - 99) + 0.5 * 2 * w,
            0.0,
            0.05 * seen,
            80 + (y - 99) + 2 * w,
            80 + (vy - 99) - 0.03 * vy + 2 * w,
            80 + y + 2 * w,
        ),
        "h": Line(0.9 * 5 * 100, 440.0, 0.0, 5 * both(x, z) - 440, 0.95 * 5 * both(vx, vz) - 440, 5 * both(x, z)),
        "o": Line(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    }


def health(platform: str, at: Line) -> float:
    if platform == "z":
        return (at.W - at.D) / at.M
    return (at.W - at.M) / at.D if at.D > 0 else INF


def leverage(at: Line) -> float:
    if at.E > 0:
        return at.gross / at.E
    return INF if at.gross > 0 else NAN


BEFORE = lines(100.0, 100.0, 102.0, 102.0, 200.0, 1.0, 0.0)
AFTER = lines(END.x, END.vx, END.z, END.vz, END.w, END.s, THETA)
SHARES = {"a": 1.0, "l": 1.0, "s": END.lam}
OUTCOME = {name: (1 - SHARES.get(name, 0.0)) * at.E + SHARES.get(name, 0.0) * at.V for name, at in AFTER.items()}


def lost(name: str, received: float = 0.0, given: float = 0.0) -> float:
    had = BEFORE[name].E + received - given
    return max(0.0, had - max(0.0, OUTCOME[name] + received - given))


def account(
    name: str,
    platform: str,
    owner: str = "",
    group: str = "account",
    received: float = 0.0,
    given: float = 0.0,
    called: int | None = None,
    sold: int | None = None,
    cause: str = "",
) -> Row:
    opening, at, share = BEFORE[name], AFTER[name], SHARES.get(name, 0.0)
    row: Row = {"platform": platform, "owner": owner or name, "group": group}
    for suffix, line in (("_before", opening), ("", at)):
        row |= {
            f"health{suffix}": health(platform, line),
            f"leverage{suffix}": leverage(line),
            f"gross_assets{suffix}": line.gross,
            f"weighted_assets{suffix}": line.W,
            f"debt{suffix}": line.D,
            f"maintenance{suffix}": line.M,
        }
    unpaid = max(0.0, -(at.V + received))
    return row | {
        "equity_before": opening.E,
        "equity_marked": at.E,
        "equity_if_sold": at.V,
        "equity_after": max(0.0, OUTCOME[name] + received - given),
        "loss": lost(name, received, given),
        "gain": max(0.0, OUTCOME[name] - opening.E),
        "liquidated": share,
        "deficit": unpaid if share == 1.0 else 0.0,
        "hidden_bad_debt": unpaid if share < 1.0 else 0.0,
        "received": received,
        "given": given,
        "called_round": called,
        "liquidated_round": sold,
        "cause": cause,
    }


def test_accounts() -> None:
    assert_rows(
        solved().accounts,
        {
            "w": account("w", "z"),
            "a": account("a", "x", group="whale", sold=1, cause="liquidation"),
            "l": account("l", "y", group="trader", sold=1, cause="stop_loss"),
            "c": account("c", "y", received=END.need, called=2),
            "s": account("s", "y", owner="the desk", group="desk", given=END.need, sold=2, cause="funding"),
            "m": account("m", "x"),
            "n": account("n", "y", owner="fund"),
            "h": account("h", "lend"),
            "o": account("o", "lend"),
        },
    )


def test_the_accounts_by_hand_lose_win_and_hide_something() -> None:
    frame = loose(solved().accounts)
    assert frame.loc["w", "gain"] == near(-2 * (END.z - 102))
    assert frame.loc["w", "gain"] > 0.0
    assert frame.loc["a", "deficit"] == near(790 - 9.5 * END.vx)
    assert frame.loc["h", "hidden_bad_debt"] > 0.0
    assert frame.loc["h", "equity_after"] == 0.0
    assert frame.loc["c", "equity_after"] == near(4 * mix(END.x, END.z) - 250 + END.need)
    assert frame.loc["s", "loss"] == near(300 - END.need - (300 * (1 - THETA) * (1 - 0.1 * END.lam) - END.need))


OWNED = lost("n")
SALES_BY_ASSET = {
    ("x", "A", "whale"): 1000.0,
    ("y", "A", "trader"): 2 * mix(100, 102),
    ("y", "S", "desk"): 300 * END.lam,
}


def node(
    kind: str = "institution",
    domain: str = "cefi",
    external: float = 0.0,
    deficits: float = 0.0,
    claims: float = 0.0,
    owned: float = 0.0,
    buffer: float = 0.0,
    liabilities: float = 0.0,
    outside: float = 0.0,
    haircut: float = 0.0,
    outside_loss: float = 0.0,
    liquidated: float = 0.0,
) -> Row:
    loss = external + deficits + claims + owned
    return {
        "kind": kind,
        "domain": domain,
        "loss": loss,
        "loss_external": external,
        "loss_deficits": deficits,
        "loss_claims": claims,
        "loss_owned": owned,
        "buffer": buffer,
        "buffer_used": min(loss, buffer),
        "liabilities": liabilities,
        "outside_liabilities": outside,
        "haircut": haircut,
        "outside_loss": outside_loss,
        "liquidated": liquidated,
    }


def test_nodes() -> None:
    assert_rows(
        solved().nodes,
        {
            "x": node(
                "exchange",
                deficits=END.deficit,
                buffer=50.0,
                liabilities=300.0,
                outside=200.0,
                haircut=(END.deficit - 50) / 300,
                outside_loss=200 * (END.deficit - 50) / 300,
                liquidated=1000.0,
            ),
            "y": node("exchange", liquidated=2 * mix(100, 102) + 300 * END.lam),
            "z": node("exchange", "tradfi"),
            "lend": node("protocol", "defi", external=7.0, buffer=3.0, outside_loss=4.0),  # beyond all liabilities
            "iss": node(
                external=110.0,
                buffer=10.0,
                liabilities=500.0,
                outside=500 - 60 - 300.0,  # m's claim and s's tokens are inside
                haircut=THETA,
                outside_loss=THETA * 140,
            ),
            "fund": node(claims=100 * END.cut, owned=OWNED, buffer=1_000.0),
        },
    )


def test_quotes() -> None:
    quotes = solved().quotes
    assert list(quotes["account"]) == ["m", "a"]
    assert list(quotes["withdrawn"]) == [near(GONE), 1.0]
    pd.testing.assert_frame_equal(quotes.drop(columns="withdrawn"), desk().quotes)


def unknowns(at: Hand, number: int) -> list[float]:
    """Return δ, λ, η and θ after a round; those that never move are left out."""
    drops = [-math.log(p / p0) for p, p0 in ((at.x, 100), (at.z, 102), (at.w, 200), (at.s, 1))]
    shares = [float(number > 0), float(number > 0), at.lam]
    return [*drops, *shares, at.gone, THETA if number > 0 else 0.0, at.cut]


def test_rounds() -> None:
    want: dict[int, Row] = {}
    for number, (old, new) in enumerate(zip([START, *ROUNDS], ROUNDS, strict=False), start=1):
        moves = zip(unknowns(new, number), unknowns(old, number - 1), strict=True)
        falls = {"x:A": new.x / 100, "x:S": new.s, "x:W": new.w / 200, "z:A": new.z / 102}
        lowest = min(falls, key=lambda name: falls[name])
        want[number] = {
            "step": max(abs(after - before) for after, before in moves),
            "evaluated_count": 9,
            "called_count": int(number > 1),
            "liquidated_count": 2 if number == 1 else 3,
            "sold": SOLD_X + SOLD_Z + 300 * new.lam,
            "deficit": new.deficit,
            "depth_withdrawn": 30 * new.gone,
            "largest_haircut": THETA,
            "largest_drop": 1 - falls[lowest],
            "lowest_market": lowest,
        }
    assert {row["lowest_market"] for row in want.values()} == {"x:S", "x:A", "x:W"}
    rounds = solved().rounds
    assert rounds.index.name == "round"
    assert_rows(rounds, want)


def test_prices() -> None:
    prices = solved().prices
    assert prices.index.name == "round"
    opening = {"x:W": 200.0, "x:A": 100.0, "z:A": 102.0, "x:S": 1.0, "x:U": 1.0}
    assert list(prices.columns) == list(opening)
    after = {
        number: {"x:W": at.w, "x:A": at.x, "z:A": at.z, "x:S": at.s, "x:U": 1.0} for number, at in enumerate(ROUNDS, 1)
    }
    assert_rows(prices, {0: opening, **after})


def test_liquidations() -> None:
    frame = solved().liquidations
    assert list(frame.columns) == ["platform", "asset", "group", "usd"]
    assert list(frame[["platform", "asset", "group"]].itertuples(index=False, name=None)) == list(SALES_BY_ASSET)
    assert list(frame["usd"]) == [near(usd) for usd in SALES_BY_ASSET.values()]


def test_totals() -> None:
    account_loss = math.fsum(
        [lost("a"), lost("l"), lost("c", END.need), lost("s", given=END.need), lost("m"), lost("h"), lost("w")]
    )
    buffer_loss = 50 + 3 + 10 + (100 * END.cut + OWNED)
    outside_loss = 200 * END.cut + 4 + 140 * THETA
    want = {
        "loss": account_loss + buffer_loss + outside_loss,
        "account_loss": account_loss,
        "buffer_loss": buffer_loss,
        "outside_loss": outside_loss,
        "gains": -2 * (END.z - 102),
        "hidden": 440 - 5 * both(END.x, END.z),  # of h, marked
        "hidden_bad_debt": 440 - 0.95 * 5 * both(END.vx, END.vz),  # of h, sold
        "liquidated": 1000 + 2 * mix(100, 102) + 300 * END.lam,
        "deficit": 790 - 9.5 * END.vx,
        "funded": END.need,
    }
    assert dict(solved().totals) == {name: near(value) for name, value in want.items()}


def test_stock_flow() -> None:
    by_x, by_z, by_w, by_s = END.x - 100, END.z - 102, END.w - 200, END.s - 1
    kept_s = 300 * (1 - END.lam)
    entries = {
        # c and n on the route of y, h on that of lend, w short at z; n has 2 W, s its S
        "marks": (4 + 1) * mix(by_x, by_z) + 5 * both(by_x, by_z) - 2 * by_z + 2 * by_w + kept_s * by_s,
        "sales": 10 * (END.vx - 100) + 2 * mix(END.vx - 100, END.vz - 102) + 300 * END.lam * by_s,
        "liquidation_cost": -(0.05 * 10 * END.vx + 0.03 * 2 * mix(END.vx, END.vz) + 0.1 * 300 * END.lam * END.s),
        "claims": -60 * THETA,
    }
    change = math.fsum(OUTCOME[name] - BEFORE[name].E for name in OUTCOME)
    balance = dict(solved().stock_flow)
    assert balance.pop("residual") == pytest.approx(0.0, abs=1e-10)
    assert balance == {name: near(value) for name, value in {"equity_change": change, **entries}.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Accounts on an edge


def edges(nudge: float) -> ct.System:
    """Return one account for every trigger, its surplus zero if nothing is nudged: 16 A, weighted by a half."""
    node_rules: list[Row] = [
        {"node": "liq"},
        {"node": "strict", "margin_rule": "maintenance", "liquidation_level": 2.0},
        {"node": "call", "call_level": 2.0},
        {"node": "close", "close_rule": "close_factor", "full_close_level": 0.5},
        {"node": "fund", "call_level": 2.0},
    ]
    debts = {"liq": 6.0, "strict": 2.0, "call": 3.0, "close": 12.0, "fund": 6.0, "stop": 0.0, "far": 3.0, "met": 7.0}
    platforms = {name: name for name in debts} | {"stop": "liq", "far": "liq", "met": "liq"}
    accounts = [{"account": name, "platform": platforms[name], "cash": -debt - nudge} for name, debt in debts.items()]
    policies = {"call": "delever", "fund": "fund", "met": "fund"}
    frame = pd.DataFrame(accounts)
    return ct.System(
        nodes=pd.DataFrame(node_rules),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["m"], "venue": "liq", "asset": "A", "price": 1.0, "depth": INF}),
        terms=pd.DataFrame(
            [{"platform": rules["node"], "asset": "A", "weight": 0.5, "maintenance": 0.0} for rules in node_rules]
        ),
        accounts=frame.assign(
            call_policy=frame["account"].map(policies).fillna(""),
            stop_loss=np.where(frame["account"] == "stop", 0.75, NAN),
        ),
        positions=pd.DataFrame(
            [{"account": name, "asset": "A", "quantity": 16.0} for name in debts]
            + [{"account": "strict", "asset": "A", "side": "perp", "quantity": 4.0, "entry_price": 0.75}]
        ).assign(maintenance=[NAN] * len(debts) + [2 / 3]),
        funding=pd.DataFrame({"account": ["met"], "source": ["far"]}),
    )


def test_knife_edge_names_every_trigger_with_surplus_and_scale() -> None:
    """A falls by a quarter to 0.75, so 16 A weigh 6; of the strict account 6 − 2 against 2·(2/3)·4·0.75."""
    frame = ct.solve(edges(0.0), ct.Scenario(shocks={"A": 0.25})).knife_edge
    assert list(frame.columns) == ["account", "trigger", "surplus", "scale"]
    rows = {(row["account"], row["trigger"]): (row["surplus"], row["scale"]) for row in frame.to_dict("records")}
    want = {
        ("call", "call"): (0.0, 6 + 3.0),
        ("liq", "liquidation"): (0.0, 6 + 6.0),
        ("strict", "liquidation"): (0.0, 6 + 2 + 2.0),
        ("fund", "liquidation"): (0.0, 6 + 6.0),
        ("met", "liquidation"): (0.0, 7 + 7.0),  # got 1 from far
        ("close", "full_close"): (0.0, 6 + 12.0),
        ("stop", "stop_loss"): (0.0, 12.0),
    }
    assert rows == {
        key: (pytest.approx(surplus, abs=1e-15), pytest.approx(scale)) for key, (surplus, scale) in want.items()
    }


@pytest.mark.parametrize(("nudge", "close"), [(1e-9, True), (-1e-9, True), (1e-7, False), (-1e-7, False)])
def test_knife_edge_is_a_billionth_wide(nudge: float, close: bool) -> None:
    """A nudge is taken from the cash, and so from every surplus; the stop-loss keeps three quarters of it."""
    frame = ct.solve(edges(nudge), ct.Scenario(shocks={"A": 0.25})).knife_edge
    found = {row["account"]: row["surplus"] for row in frame.to_dict("records")}
    assert found.pop("met") == pytest.approx(0.0, abs=1e-15)  # a call is met to the cent
    assert set(found) == ({"liq", "strict", "call", "close", "fund", "stop"} if close else set())
    if close:
        slopes = {"liq": 1.0, "strict": 1.0, "call": 2.0, "close": 0.5, "fund": 1.0, "stop": 0.25}
        assert found == {name: pytest.approx(-slopes[name] * nudge, rel=1e-5) for name in found}


# ---------------------------------------------------------------------------------------------------------------------
# Random systems


@cache
def random_solutions() -> Sequence[ct.Solution]:
    found = (ct.solve(*draw(seed), max_rounds=2_000, on_failure="return") for seed in SEEDS)
    return [solution for solution in found if solution.converged]


def each() -> Iterator[tuple[ct.Solution, float]]:
    """Return random solutions that converged, each with the money in it."""
    for solution in random_solutions():
        yield solution, float(solution.accounts["gross_assets_before"].sum() + solution.nodes["liabilities"].sum())


def test_most_random_systems_converge_and_something_happens_in_them() -> None:
    found = random_solutions()
    assert len(found) >= 0.9 * len(SEEDS)
    for name in ("account_loss", "buffer_loss", "outside_loss", "gains", "hidden", "liquidated", "deficit", "funded"):
        assert sum(solution.totals[name] > 0 for solution in found) >= min(3, len(SEEDS) / 15), name


def test_parts_of_drops_add_up() -> None:
    for solution, _ in each():
        frame = solution.markets
        np.testing.assert_allclose(frame.filter(like="drop_").sum(axis=1), frame["drop"], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(frame["price"], frame["price_before"] * (1 - frame["drop"]), rtol=1e-12, atol=1e-14)


def opening_price(system: ct.System, platform: str, asset: str) -> float:
    """Return the price on the platform's route: its rows, else its own markets, else all of the asset by depth."""
    prices = system.markets.set_index("market")["price"]
    rows = system.routes[(system.routes["platform"] == platform) & (system.routes["asset"] == asset)]
    if len(rows):
        return math.fsum(prices[m] * share for m, share in zip(rows["market"], rows["share"], strict=True))
    markets = system.markets[system.markets["asset"] == asset]
    own = markets[markets["venue"] == platform]
    markets = own if len(own) else markets
    depth = markets["depth"].to_numpy(dtype=float)
    if np.isinf(depth).any():
        depth = np.isinf(depth).astype(float)
    elif not depth.any():
        depth = np.ones(depth.size)
    return float((depth * markets["price"]).sum() / depth.sum()) if len(markets) else 0.0


def test_liquidations_are_the_sums_of_a_plain_loop() -> None:
    for solution, money in each():
        want: dict[tuple[str, str, str], float] = {}
        accounts = solution.system.accounts.set_index("account")
        for row in solution.system.positions.to_dict("records"):
            holder = loose(accounts).loc[row["account"]]
            share = float(loose(solution.accounts).loc[row["account"], "liquidated"])
            if row["side"] != "debt" and share > 0.0:
                price = opening_price(solution.system, holder["platform"], row["asset"])
                key = (holder["platform"], row["asset"], holder["group"])
                want[key] = want.get(key, 0.0) + share * abs(row["quantity"]) * price
        frame = solution.liquidations
        got = {(row["platform"], row["asset"], row["group"]): row["usd"] for row in frame.to_dict("records")}
        assert len(got) == len(frame)
        assert list(got) == sorted(got)
        assert got == {key: pytest.approx(usd, rel=1e-11) for key, usd in want.items() if usd > 0.0}
        by_platform = frame.groupby("platform")["usd"].sum().reindex(solution.nodes.index).fillna(0.0)
        np.testing.assert_allclose(solution.nodes["liquidated"], by_platform, rtol=1e-12, atol=1e-12 * money)


def test_totals_are_the_sums_of_the_tables() -> None:
    for solution, money in each():
        accounts, nodes, totals = solution.accounts, solution.nodes, solution.totals
        free = ~accounts["owner"].isin(nodes.index)
        outcome = outcomes(accounts)
        open_ = accounts["liquidated"] < 1.0
        want = {
            "account_loss": accounts["loss"][free].sum(),
            "buffer_loss": nodes["buffer_used"].sum(),
            "outside_loss": nodes["outside_loss"].sum(),
            "gains": accounts["gain"].sum(),
            "hidden": (-(outcome + accounts["received"] - accounts["given"])[open_]).clip(lower=0.0).sum(),
            "hidden_bad_debt": accounts["hidden_bad_debt"].sum(),
            "liquidated": solution.liquidations["usd"].sum(),
            "deficit": accounts["deficit"].sum(),
            "funded": accounts["received"].sum(),
        }
        want["loss"] = want["account_loss"] + want["buffer_loss"] + want["outside_loss"]
        assert dict(totals) == {
            name: pytest.approx(value, rel=1e-12, abs=1e-12 * money) for name, value in want.items()
        }
        assert accounts["given"].sum() == pytest.approx(totals["funded"], rel=1e-12, abs=1e-12 * money)


def outcomes(accounts: pd.DataFrame) -> Any:
    """Return (1 − λ)E + λV by account."""
    share = accounts["liquidated"]
    return (1 - share) * accounts["equity_marked"] + share * accounts["equity_if_sold"]


def test_accounts_follow_from_their_lines() -> None:
    for solution, money in each():
        frame = solution.accounts
        outcome, moved = outcomes(frame), frame["received"] - frame["given"]
        before, share = frame["equity_before"], frame["liquidated"]
        unpaid = (-(frame["equity_if_sold"] + frame["received"])).clip(lower=0.0)
        want = {
            "equity_after": (outcome + moved).clip(lower=0.0),
            "loss": (before + moved - frame["equity_after"]).clip(lower=0.0),
            "gain": (outcome - before).clip(lower=0.0),
            "deficit": unpaid.where(share >= 1.0, 0.0),
            "hidden_bad_debt": unpaid.where(share < 1.0, 0.0),
        }
        for name, value in want.items():
            np.testing.assert_allclose(frame[name], value, rtol=1e-12, atol=1e-12 * money, err_msg=name)
        assert ((share > 0.0) == frame["liquidated_round"].notna()).all()
        assert ((share > 0.0) == (frame["cause"] != "")).all()
        assert share.between(0.0, 1.0).all()


def test_nodes_follow_from_accounts_and_claims() -> None:
    for solution, money in each():
        nodes, accounts, claims = solution.nodes, solution.accounts, solution.system.claims
        parts = nodes[["loss_external", "loss_deficits", "loss_claims", "loss_owned"]]
        close: Any = {"rtol": 1e-11, "atol": 1e-12 * money}
        np.testing.assert_allclose(parts.sum(axis=1), nodes["loss"], **close)
        np.testing.assert_allclose(np.minimum(nodes["loss"], nodes["buffer"]), nodes["buffer_used"], **close)
        for name in nodes.index:
            row = loose(nodes).loc[name]
            on = claims[claims["creditor"] == name]
            cut = nodes["haircut"].reindex(on["debtor"]).to_numpy()
            assert row["loss_external"] == dict(solution.scenario.losses).get(name, 0.0)
            held = accounts["deficit"][accounts["platform"] == name].sum()
            assert row["loss_deficits"] == pytest.approx(held, rel=1e-12, abs=1e-12 * money)
            owned = accounts["loss"][accounts["owner"] == name].sum()
            assert row["loss_owned"] == pytest.approx(owned, rel=1e-12, abs=1e-12 * money)
            assert row["loss_claims"] == pytest.approx((on["amount"] * cut).sum(), rel=1e-12, abs=1e-12 * money)
            beyond = max(0.0, row["loss"] - row["buffer"] - row["liabilities"])
            want = row["haircut"] * row["outside_liabilities"] + beyond
            assert row["outside_loss"] == pytest.approx(want, rel=1e-12, abs=1e-12 * money)


def test_rounds_and_prices_end_where_the_other_tables_are() -> None:
    for solution, money in each():
        rounds, prices, markets, accounts = solution.rounds, solution.prices, solution.markets, solution.accounts
        assert list(rounds.index) == list(range(1, len(rounds) + 1))
        assert list(prices.index) == list(range(len(rounds) + 1))
        last = loose(rounds).iloc[-1]
        np.testing.assert_array_equal(prices.iloc[0], markets["price_before"])
        np.testing.assert_allclose(prices.iloc[-1], markets["price"], rtol=1e-9, atol=1e-12)
        assert last["liquidated_count"] == (accounts["liquidated"] > 0).sum()
        assert last["sold"] == pytest.approx(markets["sold"].clip(lower=0.0).sum(), rel=1e-9, abs=1e-12 * money)
        assert last["deficit"] == pytest.approx(solution.totals["deficit"], rel=1e-9, abs=1e-9 * money)
        gone = (solution.quotes["depth"] * solution.quotes["withdrawn"]).sum()
        assert last["depth_withdrawn"] == pytest.approx(gone, rel=1e-12)
        assert last["largest_haircut"] == solution.nodes["haircut"].max()
        left = prices.iloc[1:] / prices.iloc[0]
        np.testing.assert_allclose(rounds["largest_drop"], (1 - left.min(axis=1)).clip(lower=0.0), rtol=0, atol=1e-12)
        for number, name in rounds["lowest_market"].items():
            assert loose(left).loc[number, name] == pytest.approx(loose(left).loc[number].min(), rel=1e-12)
        first = accounts["liquidated_round"].dropna()
        assert list(rounds["liquidated_count"]) == [int((first <= number).sum()) for number in rounds.index]
        called = accounts["called_round"].dropna()
        assert set(called) <= set(rounds.index[rounds["called_count"] > 0])


def test_the_direct_loss_is_that_of_nobody_reacting() -> None:
    """Ten A fall by a tenth; what the liquidation adds is amplification. A write-off counts where it ends."""
    solution = ct.solve(to_system(TABLES), ct.Scenario(shocks={"A": 0.1}, depth={"x": 0.5}))
    assert solution.direct_loss == pytest.approx(1.0, rel=1e-12)
    assert solution.amplification == pytest.approx(1.865612546769761, rel=1e-12)
    node = [{**TABLES["nodes"][0], "buffer": 3.0, "liabilities": 10.0}]
    failed = ct.solve(to_system({**TABLES, "nodes": node}), ct.Scenario(losses={"x": 5.0}))
    assert failed.direct_loss == pytest.approx(5.0, rel=1e-12)
    assert failed.amplification == pytest.approx(1.0, rel=1e-12)
    assert math.isnan(ct.solve(to_system(TABLES)).amplification)
