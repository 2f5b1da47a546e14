"""The embedded model: architecture, words, lessons and shipped weights."""
