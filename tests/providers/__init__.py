"""Tests of the providers and the data plane."""
