"""Notifications: events and problems to people, through Apprise."""
