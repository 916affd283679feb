"""Tests of `dxflow_async/transfer/sync`."""
