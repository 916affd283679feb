"""`python -m dxflow_async` is the command `dxflow-async`."""

from __future__ import annotations

import sys

from dxflow_async.cli import main

sys.exit(main())
