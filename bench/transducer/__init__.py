"""The transducer of Graves (2012, 2013): lattice, loss, joint network; no Lightning, no data."""
