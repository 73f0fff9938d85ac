"""Pieces of work, a module for each verb: settings and a workspace in, a record out."""
