"""From text to vector: the provider protocol, one module a provider, windows for long texts, and where weights come from."""
