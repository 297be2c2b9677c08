"""Networks of captioning: captioner, ranking network, their options and searches."""
