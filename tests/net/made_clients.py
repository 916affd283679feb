"""The type of the fixture `make_client`."""

from __future__ import annotations

from collections.abc import Callable

from dxflow_async.net import Client

__all__ = ["MakeClient"]

MakeClient = Callable[..., Client]
