"""Statistics on arrays: document bootstrap, boundary inference, paired comparisons, distances."""
