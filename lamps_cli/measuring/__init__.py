"""Policies measured against each other on real servers: what is run, how it is kept, and what two files of it say."""
