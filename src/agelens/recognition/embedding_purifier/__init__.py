"""Purification behind any extractor, which stays as it is: a small network on its embeddings."""
