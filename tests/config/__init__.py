"""Tests of `dxflow_async/config`."""
