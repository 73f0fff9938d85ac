"""Built-in metrics of generated texts, a file each. Importing this package imports nothing."""
