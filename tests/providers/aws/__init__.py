"""Tests of `dxflow_async/providers/aws`."""
