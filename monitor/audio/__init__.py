"""Audio: from a device, a stream or a file to windows."""
