"""The hub: accounts, sign-ins, provider settings and registered units, over HTTP."""
