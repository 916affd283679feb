"""Tests of `dxflow_async/providers/common`."""
