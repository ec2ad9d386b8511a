"""Units and the constants that convert between them. GB is 10^9 bytes and GiB is 2^30 bytes, never mixed."""

from __future__ import annotations

from decimal import Decimal

KB = 10**3
MB = 10**6
GB = 10**9
TB = 10**12
KIB = 2**10
MIB = 2**20
GIB = 2**30

HOURS_PER_MONTH = 730
"""Hours in a month as cloud price lists count it: 8,760 h / 12."""

SECONDS_PER_HOUR = 3600
MS_PER_S = 1000.0


def gib(bytes_: float) -> float:
    """Size in GiB: bytes / 2^30.

    >>> gib(2**31)
    2.0
    """
    return bytes_ / GIB


def format_bytes(bytes_: float | None) -> str:
    """Size as text in the binary unit that reads best, or a dash if unknown.

    >>> format_bytes(10_436_608), format_bytes(512), format_bytes(None)
    ('9.95 MiB', '512 B', '–')
    """
    if bytes_ is None:
        return "–"
    for unit, size in (("TiB", 2**40), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(bytes_) >= size:
            return f"{bytes_ / size:,.2f} {unit}"
    return f"{bytes_:,.0f} B"


def format_ms(ms: float | None) -> str:
    """Duration as text in the unit that reads best (µs, ms or s), or a dash if unknown.

    >>> format_ms(0.0421), format_ms(12.34), format_ms(2345.6), format_ms(None)
    ('42.1 µs', '12.3 ms', '2.35 s', '–')
    """
    if ms is None:
        return "–"
    if abs(ms) < 1.0:
        return f"{ms * 1000:.3g} µs"
    if abs(ms) < 1000.0:
        return f"{ms:.3g} ms"
    return f"{ms / 1000:,.3g} s" if ms < 1e6 else f"{ms / 1000:,.0f} s"


def format_usd(usd: float | None) -> str:
    """Amount in US dollars as text: cents from 1 dollar up, four significant digits below.

    >>> format_usd(12345.678), format_usd(0.0001234), format_usd(5.778e-05), format_usd(None)
    ('$12,346', '$0.0001234', '$0.00005778', '–')
    """
    if usd is None:
        return "–"
    if abs(usd) >= 1000:
        return f"${usd:,.0f}"
    if abs(usd) >= 1:
        return f"${usd:,.2f}"
    return f"${Decimal(f'{usd:.4g}'):f}"


def format_parameters(count: int) -> str:
    """Parameters [count] as text in three digits: in millions (M), billions (B) or trillions (T).

    >>> format_parameters(30_532_122_624), format_parameters(999_900_000), format_parameters(95_040)
    ('30.5 B', '1 B', '95,040')
    """
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6)):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,}"


def three_digits(value: float) -> str:
    """A number as text, rounded to three significant digits, never with an exponent.

    >>> three_digits(12345.6), three_digits(0.012345), three_digits(5.0)
    ('12,300', '0.0123', '5')
    """
    return f"{float(f'{value:.3g}'):,.12g}"


def format_scaled(value: float | None, unit: str) -> str:
    """A small or large amount as text in three digits, with the SI prefix of its unit that reads best; a dash if unknown.

    >>> format_scaled(0.0494, "Wh"), format_scaled(19_444.0, "W"), format_scaled(2.6e-5, "Wh"), format_scaled(0.0, "g")
    ('49.4 mWh', '19.4 kW', '26 µWh', '0 g')
    """
    if value is None:
        return "–"
    for prefix, size in (("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("µ", 1e-6)):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value / 1e-9:.3g} n{unit}" if value else f"0 {unit}"
