"""What a response costs: the prices of genai-prices, as SQL, with the operator's own on top.

The library comes with the prices of its release and asks nobody for newer ones. Its rules for Anthropic's models
become a list of prices (:func:`rates`) and an expression that finds a model's among them (:func:`named`), so that the
database prices any number of rows by itself, and old rows anew when the prices are corrected.
"""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from genai_prices import data_snapshot
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
)

from processors.usage.options import OwnPrice

STANDARD, FAST, BATCH = "standard", "fast", "batch"
_CONTEXTS = {STANDARD: None, FAST: {"speed": "fast"}, BATCH: {"processing": "batch"}}
ANY = "any"
"""The tier of the operator's own prices, which hold for all."""

_FIRST, _LAST = date(1970, 1, 1), date(9999, 12, 31)
_NO_LIMIT = 1 << 62

# Behind clouds and gateways the same models have longer names: us.anthropic.claude-opus-4-6-v1:0,
# anthropic/claude-opus-4.6; and the client marks a long context: claude-opus-5-5[1m].
BARE = r"regexp_replace(regexp_replace(lower(model), '\[\w+\]$', ''), '^.*anthropic[./](.*?)(-v\d+(:\d+)*)?$', '\1')"


@dataclass(frozen=True, slots=True)
class Rate:
    """A price, and when it holds; in US dollars per million tokens, ``search`` per thousand web searches.

    Attributes:
        price: its name.
        tier: of the responses: standard, fast or batch; or any.
        since, until: the day of the response, in UTC; the last one is excluded.
        over, upto: all tokens of the prompt, cached ones included; the first one is excluded.

    """

    price: str
    tier: str
    since: date
    until: date
    over: int
    upto: int
    input: float
    output: float
    cache_read: float
    cache_5m: float
    cache_1h: float
    search: float


RATE_COLUMNS = tuple(Rate.__dataclass_fields__)


def rates(own: Sequence[OwnPrice]) -> list[Rate]:
    """All prices: the operator's own, and those of Anthropic's models."""
    listed = [rate for model in _models() for tier in _CONTEXTS for rate in _rates_of(model, tier)]
    search = max((rate.search for rate in listed), default=0.0)
    found = []
    for number, price in enumerate(own):
        read, short, long = (
            price.input if given is None else given
            for given in (price.cache_read, price.cache_write_5m, price.cache_write_1h)
        )
        asked = search if price.web_search is None else price.web_search
        found.append(
            Rate(
                *(f"own {number}", ANY, _FIRST, _LAST, -1, _NO_LIMIT),
                *(price.input, price.output, read, short, long, asked),
            )
        )
    return found + listed


def named(own: Sequence[OwnPrice]) -> str:
    """An SQL expression: the name of the price for the columns ``model`` and ``speed``, NULL if none is known.

    It needs the column ``bare``, see :data:`BARE`, too.
    """
    cases = [
        f"WHEN lower(model) LIKE {_pattern(price.model)} ESCAPE '!'"
        + (f" AND coalesce(speed, '{STANDARD}') = {_text(price.speed)}" if price.speed else "")
        + f" THEN 'own {number}'"
        for number, price in enumerate(own)
    ]
    cases += [f"WHEN {_condition(model.match)} THEN {_text(model.id)}" for model in _models()]
    return f"CASE {' '.join(cases)} END"


def tier() -> str:
    """An SQL expression: the tier of a response by its columns ``price``, ``speed`` and ``service_tier``."""
    return (
        f"CASE WHEN starts_with(price, 'own ') THEN '{ANY}'"
        f" WHEN speed IS NOT NULL AND speed <> '{STANDARD}' THEN speed"
        f" WHEN service_tier = '{BATCH}' THEN '{BATCH}' ELSE '{STANDARD}' END"
    )


def day(moment: str) -> str:
    """An SQL expression: the day whose prices count at a moment; now, where that is not known.

    Days before the first price and after the last one have the nearest.
    """
    last = f"DATE '{_LAST - timedelta(1)}'"
    return f"greatest(least(coalesce({moment}::DATE, {last}), {last}), DATE '{_FIRST}')"


def values(own: Sequence[OwnPrice]) -> str:
    """The prices as a VALUES list of SQL, with the columns :data:`RATE_COLUMNS`."""
    rows = (", ".join(map(_literal, astuple(rate))) for rate in rates(own))
    return "VALUES " + ", ".join(f"({row})" for row in rows)


def _models() -> list[ModelInfo]:
    providers = data_snapshot.get_snapshot().providers
    models = next(provider.models for provider in providers if provider.id == "anthropic")
    return [model for model in models if all(isinstance(rule, StartDateConstraint) for rule in _rules(model))]


def _rules(model: ModelInfo) -> list[object]:
    """When the prices of a model hold, where they do not always."""
    priced: list[Any] = [*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())]
    return [entry.constraint for entry in priced if entry.constraint is not None]


def _rates_of(model: ModelInfo, of_tier: str) -> Iterator[Rate]:
    context = _CONTEXTS[of_tier]
    if of_tier == FAST and not any(variant.when == context for variant in model.price_variants or ()):
        return  # what it costs is not known, and is more than the standard price
    for since, until in pairwise(_days(model)):
        price = model.get_prices(datetime.combine(since, time(), UTC), context)
        for over, upto in pairwise(_sizes(price)):
            yield Rate(model.id, of_tier, since, until, over, upto, *_at(price, upto))


def _days(model: ModelInfo) -> list[date]:
    """The days on which a price of a model changes, with the first and the last of all days."""
    starts = {rule.start_date for rule in _rules(model) if isinstance(rule, StartDateConstraint)}
    return sorted({_FIRST, _LAST} | starts)


def _sizes(price: ModelPrice) -> list[int]:
    starts = {tier.start for value in vars(price).values() if isinstance(value, TieredPrices) for tier in value.tiers}
    return sorted({-1, _NO_LIMIT} | starts)


def _at(price: ModelPrice, size: int) -> tuple[float, ...]:
    """The prices of a prompt of ``size`` tokens; what has none of its own counts as what it is a part of."""

    def one(name: str, default: float = 0.0) -> float:
        value: Decimal | TieredPrices | None = getattr(price, name)
        if isinstance(value, TieredPrices):
            value = next((tier.price for tier in reversed(value.tiers) if size > tier.start), value.base)
        return default if value is None else float(value)

    fresh = one("input_mtok")
    written = one("cache_write_mtok", fresh)
    return (
        fresh,
        one("output_mtok"),
        one("cache_read_mtok", fresh),
        written,
        one("cache_write_1h_mtok", written),
        one("web_searches_kcount"),
    )


def _condition(clause: Any) -> str:
    """Whether a clause of the library fits a model's name, as SQL."""
    if isinstance(clause, ClauseOr | ClauseAnd):
        parts, word = (clause.or_, " OR ") if isinstance(clause, ClauseOr) else (clause.and_, " AND ")
        return f"({word.join(map(_condition, parts))})"
    name, text = {
        ClauseEquals: ("equals", "bare = {}"),
        ClauseStartsWith: ("starts_with", "starts_with(bare, {})"),
        ClauseEndsWith: ("ends_with", "ends_with(bare, {})"),
        ClauseContains: ("contains", "contains(bare, {})"),
        ClauseRegex: ("regex", "regexp_matches(bare, {})"),
    }[type(clause)]
    wanted = getattr(clause, name)
    return text.format(_text(wanted if name == "regex" else wanted.lower()))


def _literal(value: object) -> str:
    if isinstance(value, date):
        return f"DATE '{value}'"
    return repr(value) if isinstance(value, int | float) else _text(str(value))


def _pattern(name: str) -> str:
    escaped = "".join(f"!{letter}" if letter in "!%_" else letter for letter in name.lower())
    return _text(escaped.replace("*", "%"))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
