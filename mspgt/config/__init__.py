"""Typed settings of each verb: defaults <- preset <- YAML file <- key=value."""
