"""Fleet: many monitors on one broker, seen, recorded and given labels together.

The broker is the only thing that nodes share: nothing here knows where a node is or how to reach it.
"""
