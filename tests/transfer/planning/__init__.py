"""Tests of `dxflow_async/transfer/planning`."""
