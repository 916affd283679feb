"""A running unit."""

from __future__ import annotations

from tests.server.conftest import http, unit

__all__ = ["http", "unit"]
