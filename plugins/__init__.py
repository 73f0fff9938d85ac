"""What is measured: one file per signal. Importing this package registers and imports nothing."""

if __name__ != "mspgt.plugins":
    raise ImportError("import mspgt.plugins instead of plugins")
