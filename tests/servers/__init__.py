"""Real servers on loopback ports, for tests and benchmarks."""

from tests.servers.azurite import Azurite
from tests.servers.gcs import GCSServer
from tests.servers.juicefs import JuiceFSGateway
from tests.servers.moto import MotoServer
from tests.servers.process import Process, ServerStartError, free_port, program
from tests.servers.proxy_server import ProxyServer
from tests.servers.s3 import S3Server
from tests.servers.weed import SeaweedFS

__all__ = [
    "Azurite",
    "GCSServer",
    "JuiceFSGateway",
    "MotoServer",
    "Process",
    "ProxyServer",
    "S3Server",
    "SeaweedFS",
    "ServerStartError",
    "free_port",
    "program",
]
