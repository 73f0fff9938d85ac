"""What only a drift shows."""
