"""Memory: the embeddings of past windows, without audio, and what can be done with them.

One file pair holds the windows of one source in one hour (`segment`).  `reader` reads them, while the monitor
runs or not; `search`, `label_scores` and `label_replay` use them.
"""
