"""Tests of `dxflow_async/providers/azure`."""
