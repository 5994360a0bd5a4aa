"""How workflows report progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Reporter = Callable[[str, Mapping[str, Any]], None]
"""How workflows report progress: an event's name (`step`, `log`, `status`, `progress`) and its fields."""
