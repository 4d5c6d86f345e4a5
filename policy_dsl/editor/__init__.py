"""What an editor asks about a policy: pure functions of its text and a place. `lamps lsp` serves them.

Places are those of findings: lines and columns from 1, in characters.
"""
