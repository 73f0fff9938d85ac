"""Built-in interventions, a file each. Importing this package imports nothing."""
