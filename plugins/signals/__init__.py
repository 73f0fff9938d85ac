"""Built-in signals, a folder each. Importing this package imports nothing."""
