"""Archives: recordings of months and years to Parquet files of events, scores' embeddings and a report."""
