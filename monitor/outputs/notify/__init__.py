"""Notifications of events and problems, through Apprise."""
