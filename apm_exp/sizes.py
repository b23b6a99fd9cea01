"""Numbers of bytes, for people."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def shown(size: float) -> str:
    """A number of bytes with its unit: 999 bytes, 1.5 KiB, 23 GiB."""
    unit = 0
    while size >= 1000 and unit + 1 < len(_UNITS):
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.2g} {_UNITS[unit]}"
