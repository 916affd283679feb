"""Tests of `dxflow_async/transfer/items`."""
