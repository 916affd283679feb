"""The server side: what a control plane answers, small enough to run inside a session's own process."""
