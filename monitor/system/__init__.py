"""System: what has nothing to do with sound: threads, files, SQLite, processes, systemd, memory."""
