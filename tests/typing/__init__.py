"""Types of the public API: mypy checks these modules, and nothing runs them."""
