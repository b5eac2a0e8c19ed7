"""Audio encoder of CLAP: HTSAT, with linear layers packed for the CPU."""
