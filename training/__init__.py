"""How the starter checkpoint is made: data, teacher, two small towers, export, report."""
