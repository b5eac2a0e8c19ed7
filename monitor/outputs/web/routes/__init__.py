"""Routes of the web API, one file for each kind of thing."""
