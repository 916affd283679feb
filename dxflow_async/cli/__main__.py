"""`python -m dxflow_async.cli` is `dxflow-async`."""

from __future__ import annotations

import sys

from dxflow_async.cli import main

sys.exit(main())
