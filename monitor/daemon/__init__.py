"""Daemon: builds all parts, starts them, watches them, changes them while they run, and stops them."""
