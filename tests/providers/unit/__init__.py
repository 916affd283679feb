"""Tests of `dxflow_async/providers/unit`."""
