"""Mistakes in whole nets; each must spoil the loss or a gradient in the first steps."""

from comparisons.mistakes import Mistake

WHOLE_NETS = [
    Mistake("TwoLayerNet", "self.add_weight_decay(loss, grads), grads", "loss, grads", "weight decay forgotten",
            where="TwoLayerNet.loss"),
    Mistake("FullyConnectedNet", "range(last - 1, 0, -1)", "range(last - 1, 1, -1)", "the first layer never learns",
            where="FullyConnectedNet._backward"),
    Mistake("FullyConnectedNet", "affine_backward(dout, last_cache)", "affine_backward(dout / 2, last_cache)",
            "a factor on the way back", where="FullyConnectedNet._backward"),
    Mistake("ThreeLayerConvNet", "relu_backward(max_pool_backward_fast(dpooled, pool_cache), relu_cache)",
            "max_pool_backward_fast(dpooled, pool_cache)", "ReLU forgotten on the way back",
            where="ThreeLayerConvNet.loss"),
    Mistake("DeepConvNet", "dout = relu_backward(dout, relu_cache)", "pass", "ReLU forgotten on the way back",
            where="DeepConvNet.conv_backward"),
    Mistake("CaptioningRNN", "targets != self._null", "targets == targets", "<NULL> counts",
            where="CaptioningRNN.loss"),
    Mistake("CaptioningRNN", "captions[:, :-1], captions[:, 1:]", "captions[:, :-1], captions[:, :-1]",
            "each word predicts itself", where="CaptioningRNN.loss"),
    Mistake("CaptioningTransformer", "self.positions[:T]", "self.positions[0]", "every word in the first place",
            where="CaptioningTransformer.forward"),
    Mistake("CaptioningTransformer", "dmemory = dmemory + dmore", "dmemory = dmore",
            "= for +=: the memory of one layer only", where="CaptioningTransformer.backward"),
    Mistake("CaptioningTransformer", "np.tri(T)", "np.ones((T, T))", "the future is visible",
            where="CaptioningTransformer.forward"),
]  # fmt: skip
