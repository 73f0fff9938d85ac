"""The Collector and the passes that use it, shards on disk, and the evaluation of states."""
