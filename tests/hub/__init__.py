"""The hub for sign-in, and the client that signs in to it, on real loopback sockets."""
