"""Drift of attention between neighbouring blocks (S3)."""
