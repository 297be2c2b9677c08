"""What outputs are worth: edits of label sequences, and the rates and tables made of them."""
