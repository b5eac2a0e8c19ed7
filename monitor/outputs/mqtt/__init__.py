"""MQTT: events, states and settings to the broker and Home Assistant, commands from there."""
