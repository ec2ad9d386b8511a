"""New prices for the catalog of instances: fetched or read, compared, and written as a new version once reviewed."""
