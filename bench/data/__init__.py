"""Parts that corpora of all kinds share. Nothing is imported here: reading a card stays fast.

Light modules, without torch or numpy: `files` (checksums, mirrors), `sources` (where a corpus is
found), `download`, `tokens` (special symbols). Others: `corpora` (a task's corpus, by its domain),
`lines` and `rows` (sentences as text and as ids in flat arrays), `random` (reproducible numbers),
`batching` (loaders whose place can be saved), `problems` (bad parts of a corpus, and the progress
of its preparation).
"""
