"""Numbers as people write them."""


def count(number: int, word: str) -> str:
    """``1 image``, ``2,000 images``."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def size(number: float) -> str:
    """A size in bytes, decimal: ``7.4 MB``."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "bytes" or number >= 100 else f"{number:.1f} {unit}"


def duration(seconds: float) -> str:
    """A time: ``4.2 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def money(usd: float) -> str:
    """A price: ``$0.034``, ``$1.20``, ``$4,200``."""
    if usd >= 1000:
        return f"${usd:,.0f}"
    if usd >= 1 or usd == 0:
        return f"${usd:.2f}"
    return "under $0.0001" if usd < 0.0001 else f"${usd:.2g}" if usd < 0.01 else f"${usd:.3f}"
