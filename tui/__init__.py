"""The monitor, `lamps top`: shows status frames of live servers, of recordings, and of the demo. Knows no engine."""
