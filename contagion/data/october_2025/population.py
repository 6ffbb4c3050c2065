"""Who holds what: accounts drawn from seeded laws.

Every account stands for many traders of one kind: sizes are heavy-tailed, leverage and headroom are drawn, totals are
the figures.
"""

from __future__ import annotations

import numpy as np

from contagion.data.october_2025.tables import ASSETS, FIGURES, MAJORS, VENUES, Book, Floats, depth_of, listed


def ethena(book: Book) -> None:
    """Add the issuer's hedged books: coins in custody against short perps of the same size."""
    for venue, total in FIGURES["usde"]["hedges"].items():
        name = book.account(f"Ethena at {venue}", venue, "issuer hedge", owner="Ethena")
        for asset, share in (("BTC", 0.6), ("ETH", 0.4)):
            book.hold(name, asset, share * total)
            book.hold(name, asset, -share * total, "perp")


def staking_carry(book: Book) -> None:
    """Add books on Binance that pledge staked tokens, borrow dollars and sell the base asset forward."""
    given = FIGURES["staking_carry"]
    for token, total in given["gross"].items():
        sizes, levers = book.sizes(given["count"], total), book.uniform(given["count"], *given["leverage"])
        for i in range(given["count"]):
            name = book.account(f"Binance {token} carry {i + 1:02d}", "Binance", "staking carry")
            book.hold(name, token, sizes[i])
            book.hold(name, "USDT", sizes[i] * (1.0 - 1.0 / levers[i]), "debt")
            book.hold(name, FIGURES["staked"][token]["base"], -0.5 * sizes[i], "perp")


def makers(book: Book, venue: str) -> None:
    """Add market makers' unified accounts: altcoins pledged, dollars borrowed, quotes on every market of the venue."""
    given, rules = VENUES[venue], FIGURES["makers"]
    mix = rules["mix_binance" if venue == "Binance" else "mix"]
    count = given["makers"]
    sizes, levers = book.sizes(count, given["gross"]), book.uniform(count, *rules["leverage"])
    hedges, owners = book.uniform(count, *given["hedged"]), firms(venue, sizes)
    for i in range(count):
        name = f"{venue} maker {i + 1:02d}"
        book.account(name, venue, "market maker", owner=owners.get(i, ""))
        for asset, share in mix.items():
            book.hold(name, asset, share * sizes[i])
            if asset in ASSETS and asset not in MAJORS:
                book.hold(name, asset, -share * hedges[i] * sizes[i], "perp")
        book.hold(name, "USDT", sizes[i] * (1.0 - 1.0 / levers[i]), "debt")
        quotes(book, name, venue, float(sizes[i] / sizes.sum()))


def firms(venue: str, sizes: Floats) -> dict[int, str]:
    """Return which maker accounts belong to the firms with lenders: the three largest on Binance."""
    if venue != "Binance":
        return {}
    largest = np.argsort(-sizes, kind="stable")[:3]
    return dict(zip(largest.tolist(), ("Maker A", "Maker B", "Maker C"), strict=True))


def quotes(book: Book, account: str, venue: str, share: float) -> None:
    """Add a maker's quotes: its share of what makers give to each market of the venue."""
    levels = {"full_at": FIGURES["full_at"], "withdrawn_at": FIGURES["withdrawn_at"]}
    for asset in listed(venue):
        quoted = depth_of(venue, asset) * ASSETS[asset]["quoted"] * VENUES[venue]["quoted"]
        book.add("quotes", account=account, market=f"{venue}:{asset}", depth=share * quoted, **levels)
    if venue in FIGURES["usde"]["markets"]:
        quoted = FIGURES["usde"]["markets"][venue][1]
        book.add("quotes", account=account, market=f"{venue}:USDe", depth=share * quoted, **levels)
    if venue == "Binance":
        for token, given in FIGURES["staked"].items():
            for pair in (token, f"{token}/{given['base']}"):
                book.add("quotes", account=account, market=f"{venue}:{pair}", depth=share * given["quoted"], **levels)


def perp_longs(book: Book, venue: str) -> None:
    """Add leveraged longs: single-asset accounts, and portfolios that hold a fifth of everything."""
    interest = FIGURES["open_interest"][venue]
    laws = FIGURES["leverage"][venue]
    for asset, total in interest.items():
        count = 30 if asset in ("BTC", "ETH", "SOL", "ALTS") else 10
        law = laws["majors" if asset in MAJORS else "altcoins"]
        sizes, levers, stops = book.sizes(count, 0.8 * total), book.leverage(count, law), book.uniform(count)
        for i in range(count):
            stop = {"stop_loss": 0.35} if stops[i] < 0.15 else {}
            name = f"{venue} {asset} long {i + 1:02d}"
            book.account(name, venue, "perp long", cash=sizes[i] / levers[i], **stop)
            book.hold(name, asset, sizes[i], "perp")
    shares = book.sizes(8, 0.2)
    levers = book.leverage(8, laws["altcoins"])
    for i in range(8):
        name = f"{venue} portfolio long {i + 1:02d}"
        book.account(name, venue, "perp portfolio", cash=shares[i] * sum(interest.values()) / levers[i])
        for asset, total in interest.items():
            book.hold(name, asset, shares[i] * total, "perp")


def loops(book: Book) -> None:
    """Add USDe loops on lending protocols and on the CeFi desk, against borrowed USDT."""
    places = {
        "aave_usde": ("Aave", "USDe", "USDe e-mode"),
        "aave_susde": ("Aave", "sUSDe", "sUSDe e-mode"),
        "morpho_usde": ("Morpho", "USDe", ""),
        "binance": ("Binance Loans", "USDe", ""),
    }
    for key, (platform, asset, mode) in places.items():
        given = FIGURES["loops"][key]
        sizes, ltvs = book.sizes(given["count"], given["total"]), book.uniform(given["count"], *given["ltv"])
        for i in range(given["count"]):
            loop(book, f"{platform} {asset} loop {i + 1:02d}", (platform, asset, mode), sizes[i], ltvs[i], group="loop")


def loop(book: Book, name: str, place: tuple[str, str, str], size: float, ltv: float, **cells: str) -> None:
    """Add one loop as it stands after its rounds: collateral and debt; ``cells`` are group and owner."""
    platform, asset, mode = place
    book.account(name, platform, cash=0.0, mode=mode, **cells)
    book.hold(name, asset, size)
    book.hold(name, borrowed(platform), size * ltv, "debt")


def borrowed(platform: str) -> str:
    """Return the stablecoin that a platform lends here."""
    return "USDC" if platform == "Morpho" else "USDT"


def whales(book: Book) -> None:
    """Add two-layer whales: altcoins pledged for dollars, which are the equity of a loop that must answer calls.

    Every third whale has its loop on the other side: pledged at the desk and looping on chain, or the reverse.
    """
    desk, chain = ("Binance Loans", "USDe", ""), ("Aave", "USDe", "USDe e-mode")
    pledged = {"binance": ("XRP", "DOGE", "SUI"), "aave": ("LINK", "AVAX", "SOL")}
    for key, home, away in (("binance", desk, chain), ("aave", chain, desk)):
        given = FIGURES["whales"][key]
        count = given["count"]
        sizes, ltvs = book.sizes(count, given["pledge"]), book.uniform(count, *given["ltv"])
        levers = book.uniform(count, *given["leverage"])
        for i in range(count):
            owner = f"{home[0]} whale {i + 1:02d}"
            pledge = book.account(f"{owner} pledge", home[0], "whale pledge", owner=owner, call_policy="fund")
            for asset, share in ((pledged[key][i % len(pledged[key])], 0.4), ("ALTS", 0.6)):
                book.hold(pledge, asset, share * sizes[i])
            book.hold(pledge, "USDT", ltvs[i] * sizes[i], "debt")
            place, lever = (away, 4.0) if i % 3 == 2 else (home, levers[i])
            equity = given["invested"] * ltvs[i] * sizes[i]
            loop(book, f"{owner} loop", place, equity * lever, 1.0 - 1.0 / lever, group="whale loop", owner=owner)
            book.add("funding", account=pledge, source=f"{owner} loop", priority=1.0)


def borrowers(book: Book) -> None:
    """Add borrowers without a second layer: at the desk against altcoins, on chain mostly against BTC and ETH."""
    given = FIGURES["borrowers"]["binance"]
    coins = ("ALTS", "ALTS", "XRP", "ALTS", "SOL", "BNB")
    sizes, ltvs = book.sizes(given["count"], given["pledge"]), book.uniform(given["count"], *given["ltv"])
    for i in range(given["count"]):
        policy = "delever" if i % 4 == 0 else "none"
        name = book.account(f"Binance Loans borrower {i + 1:02d}", "Binance Loans", "borrower", call_policy=policy)
        book.hold(name, coins[i % len(coins)], sizes[i])
        book.hold(name, "USDT", ltvs[i] * sizes[i], "debt")
    least, span, power = FIGURES["borrowers"]["health"]
    for key in ("aave", "morpho"):
        for coin, (count, debt) in FIGURES["borrowers"][key].items():
            sizes, healths = book.sizes(count, debt), least + span * book.uniform(count) ** power
            for i in range(count):
                name = book.account(f"{key.title()} {coin} borrower {i + 1:02d}", key.title(), "borrower")
                book.hold(name, coin, healths[i] * sizes[i] / FIGURES["lending"][key][coin][0])
                book.hold(name, borrowed(key.title()), sizes[i], "debt")


def spot_holders(book: Book) -> None:
    """Add holders without debt: their losses are marks, and they sell nothing."""
    given = FIGURES["spot_holders"]
    for venue, total in given["total"].items():
        for i, size in enumerate(book.sizes(given["count"], total)):
            name = book.account(f"{venue} holder {i + 1:02d}", venue, "spot holder")
            for asset, share in given["mix"].items():
                book.hold(name, asset, share * size)


def macro_funds(book: Book) -> None:
    """Add multi-asset funds: equities on margin at a prime broker, calls met by selling bitcoin."""
    given = FIGURES["macro_funds"]
    count = given["count"]
    sizes, healths = book.sizes(count, given["equities"]), book.uniform(count, *given["health"])
    for i in range(count):
        owner = f"Macro fund {i + 1:02d}"
        margin = book.account(f"{owner} equities", "Prime broker", "macro fund", owner=owner, call_policy="fund")
        book.hold(margin, "SPX", sizes[i])
        book.hold(margin, "USDT", 0.85 * sizes[i] / healths[i], "debt")
        coins = book.account(f"{owner} bitcoin", ("Binance", "Bybit")[i % 2], "macro fund", owner=owner)
        book.hold(coins, "BTC", given["bitcoin"] * sizes[i] / given["equities"])
        book.add("funding", account=margin, source=coins, priority=1.0)


def shorts(book: Book, venue: str) -> None:
    """Close every perp market: what is still open is sold short, by hedged books and by outright shorts."""
    left = {asset: book.open[venue, asset] for asset in listed(venue)}
    hedged = book.sizes(6, 0.65)
    outright = book.sizes(6, 0.35)
    for i in range(6):
        name = book.account(
            f"{venue} hedged book {i + 1}", venue, "hedged book", cash=0.05 * hedged[i] * sum(left.values())
        )
        for asset, usd in left.items():
            book.hold(name, asset, hedged[i] * usd)
            book.hold(name, asset, -hedged[i] * usd, "perp")
    for i in range(6):
        name = book.account(f"{venue} short {i + 1}", venue, "perp short", cash=0.4 * outright[i] * sum(left.values()))
        for asset, usd in left.items():
            share = usd * outright[i] if i < 5 else book.open[venue, asset]
            book.hold(name, asset, -share, "perp")
