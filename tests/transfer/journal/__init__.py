"""Tests of `dxflow_async/transfer/journal`."""
