"""Tests of `dxflow_async/net/fast`."""
