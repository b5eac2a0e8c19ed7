"""Operating system: threads, files, SQLite, processes, systemd and memory; nothing about sound."""
