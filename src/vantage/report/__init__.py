"""What a run looked like: figures from the files that it wrote."""
