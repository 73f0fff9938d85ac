"""What only an intervention experiment shows."""
