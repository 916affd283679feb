"""The errors of `dxflow_async.exceptions`, under the documented name."""

from __future__ import annotations

from dxflow_async.exceptions import *  # noqa: F403
from dxflow_async.exceptions import __all__ as __all__  # noqa: PLC0414 - re-exported
