"""The tools, one module for each thing a model does: store, search, list, update, delete, look at figures, old names."""
