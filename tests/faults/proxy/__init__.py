"""Proxies on loopback, between a client and a real server."""

from tests.faults.proxy.answers import Dialect
from tests.faults.proxy.faulty import FaultProxy
from tests.faults.proxy.forward import ForwardProxy
from tests.faults.proxy.modes import Mode, seed_of
from tests.faults.proxy.request import Request
from tests.faults.proxy.throttle import TokenBucket

__all__ = ["Dialect", "FaultProxy", "ForwardProxy", "Mode", "Request", "TokenBucket", "seed_of"]
