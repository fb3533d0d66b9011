"""Encoders that several connectors share; each takes null and gives it back."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from decimal import Decimal


def finite(value: float | Decimal | None) -> float | Decimal | None:
    """The number itself. Raises ValueError for NaN and infinity, which neither JSON nor any vendor knows."""
    if value is None or (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        return value
    raise ValueError(f"{value} is not a number that can be sent")


def utc(value: datetime | None) -> datetime | None:
    """The moment in UTC; one without a zone is UTC already."""
    if value is None:
        return None
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
