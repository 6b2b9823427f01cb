"""Mistakes to plant in GELU, patches, encoder layers."""

# Function, right, wrong, why; and where the text stands, if not in the function itself.
VISION = [
    ("erf", "np.copysign(1 - np.exp(-z * z) * p, x)", "1 - np.exp(-z * z) * p", "the sign lost"),
    ("erf", "else 18]", "else 8]", "float32's polynomial for float64"),
    ("gelu_forward", "0.5 * (1 + erf(x * 0.5**0.5))", "0.5 * (1 + np.tanh((2 / np.pi)**0.5 * (x + 0.044715 * x**3)))",
     "the tanh approximation"),
    ("gelu_forward", "erf(x * 0.5**0.5)", "erf(x)", "√2 forgotten"),
    ("gelu_backward", " + x * np.exp(-0.5 * x * x) * (2 * math.pi) ** -0.5", "", "the share taken for a constant"),
    ("gelu_backward", "np.exp(-0.5 * x * x)", "np.exp(-x * x)", "the slope of erf(x), not of erf(x/√2)"),
    ("split_patches", "transpose(0, 2, 4, 1, 3, 5)", "transpose(0, 4, 2, 1, 3, 5)", "patches column by column"),
    ("split_patches", "transpose(0, 2, 4, 1, 3, 5)", "transpose(0, 2, 4, 3, 5, 1)", "channels last in a patch"),
    ("join_patches", "H // side, W // side", "W // side, H // side", "rows and columns of patches swapped"),
    ("patch_embedding_forward", "split_patches(x, side)", "x.reshape(len(x), -1, len(w))",
     "reshaped: strips of rows, not patches"),
    ("patch_embedding_backward", "join_patches(dpatches, picture, side)", "dpatches.reshape(-1, *picture)",
     "reshaped: pixels in the wrong places"),
    ("encoder_layer_forward", '_norm(x + new, params, "norm1")', '_norm(new, params, "norm1")',
     "no way around the attention"),
    ("encoder_layer_forward", '"gelu"', '"relu"', "the decoder's activation"),
    ("encoder_layer_forward", "new, dropped2 = _drop(new, dropout_param)", "dropped2 = (None, None)",
     "the second branch not dropped"),
    ("encoder_layer_backward", "dx + dquery + dkey + dvalue", "dx + dquery", "x is key and value as well"),
    ("encoder_layer_backward", "dropout_backward(dx, dropped1)", "dx", "mask ignored"),
    ("encoder_layer_init", 'in "kqvo"', 'in "qkvo"', "drawn in another order", "_layer_init"),
]  # fmt: skip
