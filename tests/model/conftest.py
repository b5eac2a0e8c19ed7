from tests.support.checkpoints import clap_htsat_unfused, larger_clap_general, tiny_fused

__all__ = ["clap_htsat_unfused", "larger_clap_general", "tiny_fused"]
