"""Jumps of what probes read off the layers (S2)."""
