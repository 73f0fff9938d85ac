"""A generator of English documents with a known hierarchy of latent choices."""
