"""Everything that takes events; one contract, one file a kind."""
