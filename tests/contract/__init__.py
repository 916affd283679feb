"""The contract of a provider, proved for each of them."""
