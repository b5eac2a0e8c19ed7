"""Audio path: from a device, stream or file to windows."""
