"""From network outputs to label sequences: greedy and beam searches for CTC and the transducer."""
