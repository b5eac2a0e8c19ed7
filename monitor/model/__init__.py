"""Model: CLAP, from windows of audio and sentences to unit vectors in one space.

Nothing is exported from here, because only some of the modules load torch.
"""
