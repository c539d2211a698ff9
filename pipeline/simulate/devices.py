"""What people hold in their hands: makes, models, systems and the user agents that they send; and the crawlers of the web."""

from dataclasses import dataclass

from pipeline.simulate.plan import spread


@dataclass(frozen=True)
class Model:
    """A kind of device. `platform`, `make`, `model` stand in the record as this SDK writes them; `channel` is its push channel.

    `user_agent` has {version} for the app's version; `sdk` is the SDK's name and version. Without `has_device` the record's
    device is empty, as that of bare HTTP clients, and only the user agent tells what it is.
    """

    kind: str
    platform: str
    platform_version: str
    make: str
    model: str
    user_agent: str
    sdk: tuple[str, str]
    channel: str = ""
    has_device: bool = True


def _ios(model: str, version: str, network: str) -> Model:
    return Model("ios", "ios", version, "apple", model, f"Shop/{{version}} CFNetwork/{network}", ("aws-sdk-ios", "2.36.7"), "APNS")


def _android(make: str, model: str, version: str, build: str) -> Model:
    agent = f"Dalvik/2.1.0 (Linux; U; Android {version}; {model} Build/{build}) Shop/{{version}}"
    return Model("android", "android", version, make, model, agent, ("aws-sdk-android", "2.77.1"), "GCM")


def _browser(platform: str, platform_version: str, make: str, model: str, agent: str, has_device: bool = True) -> Model:
    return Model("web", platform, platform_version, make, model, agent, ("amplify-js", "6.6.4"), has_device=has_device)


_CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Safari/537.36"
_WINDOWS, _MAC = "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7"

MODELS = spread(
    (_ios("iPhone", "17.6.1", "1498.700.2 Darwin/23.6.0"), 10),
    (_ios("iPhone", "18.1", "1568.200.51 Darwin/24.1.0"), 9),
    (_ios("iPhone", "16.7.10", "1410.1 Darwin/22.6.0"), 3),
    (_ios("iPad", "17.5", "1496.0.7 Darwin/23.5.0"), 3),
    (_android("samsung", "SM-S921B", "14", "UP1A.231005.007"), 7),
    (_android("samsung", "SM-A546E", "13", "TP1A.220624.014"), 5),
    (_android("Google", "Pixel 8", "15", "AP3A.241005.015"), 5),
    (_android("Xiaomi", "2201117TG", "12", "SKQ1.211103.001"), 4),
    (_android("HUAWEI", "ELE-L29", "10", "HUAWEIELE-L29"), 2),
    (_android("motorola", "moto g(60)", "12", "S2RI32.32-20"), 2),
    (_browser("Win32", "10", "Google Inc.", "Chrome", _CHROME.format(_WINDOWS, "130.0.0.0")), 9),
    (_browser("MacIntel", "10.15.7", "Google Inc.", "Chrome", _CHROME.format(_MAC, "129.0.0.0")), 5),
    (
        _browser(
            "MacIntel",
            "10.15.7",
            "Apple Computer, Inc.",
            "Safari",
            f"Mozilla/5.0 ({_MAC}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0.1 Safari/605.1.15",
        ),
        5,
    ),
    (_browser("", "", "", "", "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", False), 3),
    (_browser("", "", "", "", _CHROME.format(_WINDOWS, "130.0.0.0") + " Edg/130.0.2849.56", False), 4),
    (
        Model("desktop", "windows", "11", "Dell Inc.", "XPS 13 9340", "ShopDesktop/{version} (Windows 11)", ("shop-desktop", "1.9.0")),
        3,
    ),
    (
        Model("desktop", "macOS", "15.1", "Apple", "MacBookPro18,3", "ShopDesktop/{version} (macOS 15.1)", ("shop-desktop", "1.9.0")),
        2,
    ),
)

CRAWLERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
]

# (locale as the SDK writes it, country, language)
LOCALES = spread(
    (("en_US", "US", "en"), 40),
    (("en_GB", "GB", "en"), 10),
    (("de_DE", "DE", "de"), 9),
    (("fr_FR", "FR", "fr"), 7),
    (("es_MX", "MX", "es"), 6),
    (("es_ES", "ES", "es"), 5),
    (("pt_BR", "BR", "pt"), 6),
    (("ja_JP", "JP", "ja"), 5),
    (("en_CA", "CA", "en"), 5),
    (("it_IT", "IT", "it"), 4),
    (("nl_NL", "NL", "nl"), 2),
    (("zh_CN", "CN", "zh"), 1),
)


def ip_address(number: int) -> str:
    """An address of the ranges that are reserved for documentation."""
    network = ("192.0.2", "198.51.100", "203.0.113")[number % 3]
    return f"{network}.{1 + number // 3 % 254}"
