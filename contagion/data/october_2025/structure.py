"""Who there is, what trades where, and by which rules."""

from __future__ import annotations

from contagion.data.october_2025.tables import ASSETS, FIGURES, MAJORS, PRICE, VENUES, Book, depth_of, listed


def nodes(book: Book) -> None:
    """Add exchanges with the rules of their margin accounts, then protocols and institutions."""
    for venue, given in VENUES.items():
        rules = {"kind": "exchange", "margin_rule": "maintenance", "buffer": given["buffer"]}
        book.add("nodes", node=venue, **rules, **given["rules"])
    for row in FIGURES["nodes"]:
        book.add("nodes", **row)


def assets(book: Book) -> None:
    """Add the assets."""
    for asset, given in ASSETS.items():
        book.add("assets", asset=asset, kind=given["kind"])
    for token in FIGURES["staked"]:
        book.add("assets", asset=token, kind="liquid_staking")
    book.add("assets", asset="USDe", kind="synthetic_dollar", issuer="Ethena")
    book.add("assets", asset="sUSDe", kind="synthetic_dollar")
    for asset in ("USDT", "USDC"):
        book.add("assets", asset=asset, kind="stablecoin")
    book.add("assets", asset="SPX", kind="other")


def markets(book: Book) -> None:
    """Add one market for each venue and asset; depth is what the book gives before its makers leave."""
    for venue, given in VENUES.items():
        for asset in listed(venue):
            rule = ASSETS[asset]
            own = depth_of(venue, asset) * (1.0 - rule["quoted"] * given["quoted"])
            market(book, venue, asset, depth=own, floor=rule["floor"])
    for token, given in FIGURES["staked"].items():
        for pair in (token, f"{token}/{given['base']}"):
            base = f"Binance:{given['base']}"
            rule = {"depth": given["depth"], "pegged_to": base, "floor": given["floor"]}
            market(book, "Binance", token, name=f"Binance:{pair}", **rule)
    for venue, (own, _) in FIGURES["usde"]["markets"].items():
        market(book, venue, "USDe", depth=own, floor=0.3)
    market(book, "Ethena", "USDe", depth="inf")
    market(book, "Curve", "sUSDe", depth=FIGURES["usde"]["staked_depth"], pegged_to="Curve:USDe", floor=0.3)
    for asset, depth in FIGURES["lending"]["pools"].items():
        market(book, "Uniswap", asset, depth=depth * FIGURES["refill"], impact="constant_product")
    for asset in ("USDT", "USDC"):
        market(book, "Curve", asset, depth="inf")
    market(book, "Wall Street", "SPX", depth="inf")


def market(book: Book, venue: str, asset: str, name: str = "", **cells: str | float) -> None:
    """Add a market."""
    name = name or f"{venue}:{asset}"
    book.add("markets", market=name, venue=venue, asset=asset, price=PRICE[asset], **cells)


def links(book: Book) -> None:
    """Add arbitrage between venues; what touches Binance is impaired."""
    for asset in ASSETS:
        venues = [venue for venue in VENUES if asset in listed(venue)]
        depth = ASSETS[asset]["depth"] * FIGURES["refill"]
        if asset in FIGURES["lending"]["pools"]:
            link(book, "Bybit", "Uniswap", asset, depth)
        for i, first in enumerate(venues):
            for second in venues[i + 1 :]:
                impaired = FIGURES["impaired_links"] if first == "Binance" else 1.0
                link(book, first, second, asset, depth * impaired)
    for token, given in FIGURES["staked"].items():
        pairs = {"market_a": f"Binance:{token}", "market_b": f"Binance:{token}/{given['base']}"}
        book.add("arbitrage", **pairs, depth=given["depth"])
    usde = FIGURES["usde"]
    link(book, "Binance", "Bybit", "USDe", usde["binance_link"])
    link(book, "Bybit", "Curve", "USDe", usde["bybit_link"])
    link(book, "Uniswap", "Curve", "USDe", usde["pool_link"])
    for pool in ("Uniswap", "Curve"):
        link(book, pool, "Ethena", "USDe", usde["redemption_link"])


def link(book: Book, first: str, second: str, asset: str, depth: float) -> None:
    """Add an arbitrage link."""
    book.add("arbitrage", market_a=f"{first}:{asset}", market_b=f"{second}:{asset}", depth=depth)


def terms(book: Book) -> None:
    """Add collateral weights, maintenance rates and costs of each platform."""
    fees = FIGURES["fees"]
    for venue, given in VENUES.items():
        extra = ["WBETH", "BNSOL", "USDe"] if venue == "Binance" else []
        for asset in listed(venue) + extra:
            major = asset in MAJORS
            rate = given["maintenance"][0 if major else 1] if asset in ASSETS else 0.0
            cost = fees["majors" if major else "altcoins"]
            term(book, venue, asset, weight=FIGURES["collateral"][asset], maintenance=rate, cost=cost)
        term(book, venue, "USDT", weight=1.0, maintenance=fees["borrowed_maintenance"])
    desk = FIGURES["desk"]
    for asset in (*ASSETS, "USDe"):
        term(book, "Binance Loans", asset, weight=desk["liquidation_ltv"], cost=desk["cost"])
    for protocol in ("aave", "morpho"):
        for asset, (weight, cost) in FIGURES["lending"][protocol].items():
            term(book, protocol.title(), asset, weight=weight, cost=cost)
    for row in FIGURES["terms"]:
        term(book, **row)


def term(book: Book, platform: str, asset: str, mode: str = "", **rates: float) -> None:
    """Add the terms of an asset on a platform; rates that are not given are zero."""
    given = {"weight": 0.0, "maintenance": 0.0, "cost": 0.0} | rates
    book.add("terms", platform=platform, mode=mode, asset=asset, **given)


def oracles(book: Book) -> None:
    """Add what platforms read, where it is not their own market, and where they sell."""
    for token, given in FIGURES["staked"].items():
        for pair, weight in zip((token, f"{token}/{given['base']}"), given["index"], strict=True):
            book.add("oracles", platform="Binance", asset=token, market=f"Binance:{pair}", weight=weight, value="")
            book.add("routes", platform="Binance", asset=token, market=f"Binance:{pair}", share=0.5)
    for asset in listed("Hyperliquid"):
        for venue in ("Bybit", "OKX"):
            book.add("oracles", platform="Hyperliquid", asset=asset, market=f"{venue}:{asset}", weight=0.5, value="")
    blend = {"Binance": 0.4, "Bybit": 0.3, "OKX": 0.3}
    for protocol in ("aave", "morpho"):
        for asset in FIGURES["lending"][protocol]:
            for venue, weight in blend.items():
                source = f"{venue}:{asset}"
                book.add("oracles", platform=protocol.title(), asset=asset, market=source, weight=weight, value="")
            pool = "Uniswap" if asset in FIGURES["lending"]["pools"] else "Bybit"
            for venue, share in ((pool, 0.5), ("Binance", 0.5)):
                book.add("routes", platform=protocol.title(), asset=asset, market=f"{venue}:{asset}", share=share)
        book.add("oracles", platform=protocol.title(), asset="USDe", market="", weight=1.0, value=1.0)
        for venue, share in (("Uniswap", 0.3), ("Curve", 0.7)):
            book.add("routes", platform=protocol.title(), asset="USDe", market=f"{venue}:USDe", share=share)
    book.add("oracles", platform="Aave", asset="sUSDe", market="", weight=1.0, value=PRICE["sUSDe"])
    for asset in (*ASSETS, "USDe"):
        book.add("oracles", platform="Binance Loans", asset=asset, market=f"Binance:{asset}", weight=1.0, value="")
        book.add("routes", platform="Binance Loans", asset=asset, market=f"Binance:{asset}", share=1.0)


def claims(book: Book) -> None:
    """Add who lends to whom."""
    for row in FIGURES["claims"]:
        book.add("claims", **row)
