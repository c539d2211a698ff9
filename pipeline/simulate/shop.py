"""What the shop has: products with prices in cents, screens, releases of the app, campaigns and journeys.

JSON fragments that records repeat are rendered here, once.
"""

from dataclasses import dataclass
from functools import cached_property

import msgspec

from pipeline.simulate.plan import DAY, HOUR, spread

ACCOUNT = "111122223333"
SENDER = "hello@shop.example.com"


def compact(value: object) -> str:
    """JSON as every record has it: no spaces, text as it is."""
    return msgspec.json.encode(value).decode()


@dataclass(frozen=True)
class Product:
    """Something to buy; `cents` is its price."""

    sku: str
    name: str
    category: str
    cents: int

    @cached_property
    def viewed(self) -> str:
        """Attributes and metrics of product.view and the like."""
        attributes = {"sku": self.sku, "category": self.category}
        return f'"attributes":{compact(attributes)},"metrics":{{"price":{self.cents / 100!r}}}'

    def added(self, quantity: int) -> str:
        """Attributes and metrics of cart.add and cart.remove."""
        attributes = {"sku": self.sku, "name": self.name}
        return f'"attributes":{compact(attributes)},"metrics":{{"price":{self.cents / 100!r},"quantity":{quantity}.0}}'

    def bought(self, quantity: int, store: str, transaction_id: str) -> str:
        """Attributes and metrics of _monetization.purchase, as Pinpoint's SDKs write them."""
        price = self.cents / 100
        return (
            f'"attributes":{{"_product_id":"{self.sku}","_currency":"USD","_store":"{store}","_transaction_id":"{transaction_id}",'
            f'"_item_price_formatted":"${price:.2f}"}},"metrics":{{"_item_price":{price!r},"_quantity":{quantity}.0}}'
        )


def _products() -> list[Product]:
    shelves = {
        "coffee": ["Espresso Forte", "Café Crème", "Cold Brew", "Yirgacheffe", "Ristretto", "Décaf Doux", "Ethiopia Guji", "House Blend"],
        "tea": ["Earl Grey", "Grüner Tee", "玄米茶", "Masala Chai", "Rooibos", "Té de Manzanilla", "Jasmine Pearls", "Oolong"],
        "chocolate": ["Dark 85 %", "Milk & Hazelnut", "Sea Salt", "Ruby", "Orange Peel", "Truffle Box", "Cocoa Nibs", "Pralinés"],
        "kitchen": ["Moka Pot", "Hand Grinder", "French Press", "Gooseneck Kettle", "Scale", "Milk Frother", "Teapot", "Filter Papers"],
        "gifts": [
            "Gift Card",
            "Tasting Set",
            'Mug "Good Morning"',
            "Tea Towel",
            "Advent Calendar",
            "Breakfast Basket",
            "Candle",
            "Tin Box",
        ],
    }
    found = []
    for shelf, (category, names) in enumerate(shelves.items()):
        for place, name in enumerate(names):
            for size, (suffix, factor) in enumerate((("", 100), (", large", 175))):
                cents = (349 + shelf * 260 + place * 415) * factor // 100
                found.append(Product(f"{category[:2].upper()}-{shelf}{place}{size}", name + suffix, category, cents))
    return found


PRODUCTS = _products()
# Some things sell better than others.
POPULAR = spread(*((product, 1 + 12 // (1 + rank % 16)) for rank, product in enumerate(PRODUCTS)))
SCREENS = {name: f'"attributes":{{"screen":"{name}"}}' for name in ("home", "category", "search", "cart", "account", "orders", "help")}
BROWSED = spread(("home", 5), ("category", 6), ("search", 4), ("account", 2), ("orders", 2), ("help", 1))
SEARCHED = [
    f'"attributes":{compact({"query": query})},"metrics":{{"results":{results}.0}}'
    for query, results in (
        ("coffee", 16),
        ("tea", 14),
        ("gift under 20", 9),
        ("café crème", 2),
        ("茶", 3),
        ("moka 6 cups", 1),
        ("vegan", 0),
    )
]
QUANTITIES = spread((1, 14), (2, 4), (3, 1), (6, 1))
NOTHING = '"attributes":{}'


def release_at(at_ms: int, lag_days: int) -> tuple[str, str]:
    """Version name and code of the app that somebody has who updates `lag_days` after a release; one comes every 12 days."""
    number = max(0, at_ms // DAY - lag_days) // 12 % 100
    return f"4.{number}.0", str(400 + number)


@dataclass(frozen=True)
class Campaign:
    """A campaign: who gets it (percent of those who have the channel), its treatments, percent held out, when it is sent."""

    campaign_id: str
    title: str
    channel: str
    percent: int
    treatments: int
    holdout_percent: int
    weekdays: tuple[int, ...]
    hour: int
    send_ms: int = 2 * HOUR


@dataclass(frozen=True)
class Journey:
    """A journey of one activity, sent some time after what triggers it."""

    journey_id: str
    activity_id: str
    title: str
    channel: str


CAMPAIGNS = [
    Campaign("c4f1e6d0a95b4d7c8a11f2b3c4d5e601", "Weekend roast", "EMAIL", 45, 2, 10, (4,), 8),
    Campaign("c4f1e6d0a95b4d7c8a11f2b3c4d5e602", "Tuesday tea", "EMAIL", 30, 1, 0, (1,), 15),
    Campaign("c4f1e6d0a95b4d7c8a11f2b3c4d5e603", "Back in stock", "PUSH", 40, 3, 5, (0, 3), 17),
    Campaign("c4f1e6d0a95b4d7c8a11f2b3c4d5e604", "Happy hour", "SMS", 70, 1, 0, (5,), 11),
]
WELCOME = Journey("9d2f0c5be1a747f0b6d35e7a80c1f201", "wElc0meMai", "Welcome to the shop", "EMAIL")
FORGOTTEN_CART = Journey("9d2f0c5be1a747f0b6d35e7a80c1f202", "caRtPu5h01", "You left something behind", "PUSH")
IN_APP_CAMPAIGN = "c4f1e6d0a95b4d7c8a11f2b3c4d5e605"
