"""Training of the starter checkpoint: data, teacher, two small towers, export, report."""
