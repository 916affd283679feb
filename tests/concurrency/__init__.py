"""Tests of `dxflow_async/concurrency`."""
