"""LAMPS' comparison made again in virtual time: what is run (cases), carried out (run), and written down (write)."""
