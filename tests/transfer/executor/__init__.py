"""Tests of calls that run on an executor."""
