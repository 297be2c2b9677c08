"""Sequence-to-sequence networks, shared by translation and captioning.

`writer` is the base of networks that write words, made of `attention` and `decoder` (with readout
and bridge); `next_words` gives their next words, `beam` the beam search, `search` ensembles and
bounded batches of searches, `objective` the base of their objectives, `options` their options.
"""
