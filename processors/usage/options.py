"""What the settings may say to this processor: ``[options.usage]`` of the configuration file."""

from zoneinfo import available_timezones

import msgspec


class OwnPrice(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A price in US dollars per million tokens, which goes before any that is known of the same model.

    Attributes:
        model: its name in the transcripts, in lower or upper case; ``*`` stands for anything.
        input, output, cache_read, cache_write_5m, cache_write_1h: prices; one of the cache that is not given is that
            of the input.
        web_search: US dollars per thousand web searches; not given: the list price of Anthropic's.
        speed: the price is for responses of this speed only, such as ``fast``; not given: for those of any speed.

    """

    model: str
    input: float
    output: float
    cache_read: float | None = None
    cache_write_5m: float | None = None
    cache_write_1h: float | None = None
    speed: str | None = None
    web_search: float | None = None

    def __post_init__(self) -> None:
        prices = (self.input, self.output, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.web_search)
        if not all(price is None or 0 <= price < 1e6 for price in prices):  # noqa: PLR2004
            raise ValueError("a price is in US dollars per million tokens or thousand searches, and not negative")


class UsageOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The settings.

    Attributes:
        timezone: where the days of the views begin and end, such as ``Europe/Berlin``.
        prices: own ones, the first that fits a model counts.

    """

    timezone: str = "UTC"
    prices: tuple[OwnPrice, ...] = ()

    def __post_init__(self) -> None:
        known_zone(self.timezone)


def known_zone(name: str) -> str:
    """The name of a time zone, if it is one.

    Raises:
        ValueError: it is not.

    """
    if name not in available_timezones() - {"Factory", "localtime"}:  # which say no place
        raise ValueError(f"{name!r} is no time zone; one is called Europe/Berlin, or UTC")
    return name
