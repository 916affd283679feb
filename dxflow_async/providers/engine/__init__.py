"""Machines that run a dxflow engine: its artifact storage as a provider."""
