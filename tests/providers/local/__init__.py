"""Tests of `dxflow_async/providers/local`."""
