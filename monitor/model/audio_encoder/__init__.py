"""Audio encoder of CLAP: HTSAT, with the linear layers in the form that is fastest here."""
