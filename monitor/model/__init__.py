"""Model: CLAP, from audio windows and prompts to unit vectors in one space.

Nothing is exported from here, because only some modules import torch.
"""
