"""Storage areas, and the calls in and between them."""
