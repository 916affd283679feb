"""Tests of `dxflow_async/server`."""
