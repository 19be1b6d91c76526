"""Files as they are, line by line: what was read is compared with what was there.

A parser that is lenient loses rows without a word. So each of these refuses what is not exactly
what its format says, with the line where it begins and the remedy: ``text`` bytes, ``table`` cells,
``objects`` lines of JSON. They know nothing of events; ``headrace.streams.rows`` makes rows events.
"""
