"""The fast lane: HTTP/1.1 over non-blocking sockets."""
