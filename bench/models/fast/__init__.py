"""Fast exact forms of the architectures' equations, one file each, named after what they serve.

`elman_scan`, `jordan_scan`, `gru_scan` and `lstm_scan` are loops with hand-written gradients, and
the library's kernels where these fit; `gru_triton` and `lstm_triton` are their steps as fused
kernels, of which `triton_functions` holds common parts and `fusion` decides the use. `decay` sums a
decaying context, `recurrent_product` multiplies or convolves the state, `cuda_graphs` replays
loops.
"""
