"""Tests of `dxflow_async/providers/gcp`."""
