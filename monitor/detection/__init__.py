"""Detection: from an embedding to an event, and the labels and thresholds in force.

Nothing is exported from here: an import names the part it takes.
"""
