"""Tests of `dxflow_async/net`."""
