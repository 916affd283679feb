"""The aiohttp lane: aiohttp's client behind the data plane's door."""
