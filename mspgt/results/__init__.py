"""What each verb finds: typed records, one codec for all of them, and the registry of their kinds."""
