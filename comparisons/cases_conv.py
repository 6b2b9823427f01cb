"""Cases of the notebook ConvolutionalNetworks: convolution and pooling in every implementation, norms of channels."""

from comparisons import reference
from comparisons.case import Case
from comparisons.cases_dense import averages, without_cache
from from_scratch import convolution, fast_layers, im2col, layer_utils, layers


def window_fits(draw, H, W, HH, WW, pad=0):
    draw.needs(H + 2 * pad >= HH and W + 2 * pad >= WW)


def conv(draw, N, C, H, W, F, HH, WW, stride, pad):
    window_fits(draw, H, W, HH, WW, pad)
    return dict(x=draw(N, C, H, W), w=draw(F, C, HH, WW), b=draw(F), conv_param={"stride": stride, "pad": pad})


def conv_of_pairs(draw, N, C, H, W, F, HH, WW, stride, pad):
    """Stride and padding of their own for rows and columns."""
    conv_param = {"stride": (stride, stride + 1), "pad": (pad, pad + 1)}
    return conv(draw, N, C, H, W, F, HH, WW, stride, pad) | dict(conv_param=conv_param)


NAIVE = convolution.conv_forward_naive, convolution.conv_backward_naive, reference.conv
FAST = fast_layers.conv_forward_fast, fast_layers.conv_backward_fast, reference.conv
CONVOLUTION = [
    Case("conv_naive", *NAIVE, conv),
    Case("conv_naive, stride > filter", *NAIVE, conv, sizes=dict(stride=4, HH=3, WW=2)),
    Case("conv_naive, odd padding", *NAIVE, conv, sizes=dict(pad=3, stride=1)),
    Case("conv_naive, no padding", *NAIVE, conv, sizes=dict(pad=0)),
    Case("conv_naive, pairs", *NAIVE, conv_of_pairs),
    Case("conv_im2col", fast_layers.conv_forward_im2col, fast_layers.conv_backward_im2col, reference.conv, conv),
    Case("conv_strides", fast_layers.conv_forward_strides, fast_layers.conv_backward_strides, reference.conv, conv),
    Case("conv_fast", *FAST, conv),
    Case("conv_fast, several blocks", *FAST, conv, sizes=dict(N=3, C=7, H=41, W=43, HH=3, WW=3, stride=1)),
    Case("conv_fast, pairs", *FAST, conv_of_pairs),
]  # fmt: skip


def windows(draw, N, C, H, W, HH, WW, stride, pad):
    window_fits(draw, H, W, HH, WW, pad)
    return dict(x=draw(N, C, H, W), field_height=HH, field_width=WW, padding=pad, stride=stride)


def windows_of_shape(draw, N, C, H, W, HH, WW, stride, pad):
    _, *options = windows(draw, N, C, H, W, HH, WW, stride, pad).items()
    return dict(x_shape=(N, C, H, W)) | dict(options)


def columns(draw, N, C, H, W, HH, WW, stride, pad):
    rest = windows_of_shape(draw, N, C, H, W, HH, WW, stride, pad)
    places = ((H + 2 * pad - HH) // stride + 1) * ((W + 2 * pad - WW) // stride + 1)
    return dict(cols=draw(C * HH * WW, places * N)) | rest


IM2COL = [
    Case("get_im2col_indices", im2col.get_im2col_indices, None, reference.im2col_indices, windows_of_shape,
         outputs=("k", "i", "j")),
    Case("im2col_indices", im2col.im2col_indices, None, reference.im2col, windows),
    Case("col2im_indices", im2col.col2im_indices, None, reference.col2im, columns),
]  # fmt: skip


def pool(draw, N, C, H, W, HH, WW, stride):
    window_fits(draw, H, W, HH, WW)
    return dict(x=draw(N, C, H, W), pool_param={"pool_height": HH, "pool_width": WW, "stride": stride})


def pool_of_pairs(draw, N, C, H, W, HH, WW, stride):
    """A stride of its own for rows and columns."""
    pool_param = {"pool_height": HH, "pool_width": WW, "stride": (stride, stride + 1)}
    return pool(draw, N, C, H, W, HH, WW, stride) | dict(pool_param=pool_param)


def tiles(draw, N, C, H, W, HH):
    """Square windows side by side, nothing left over."""
    return pool(draw, N, C, HH * H, HH * W, HH, HH, HH)


POOL_NAIVE = convolution.max_pool_forward_naive, convolution.max_pool_backward_naive, reference.max_pool
POOL_IM2COL = fast_layers.max_pool_forward_im2col, fast_layers.max_pool_backward_im2col, reference.max_pool
POOL_RESHAPE = fast_layers.max_pool_forward_reshape, fast_layers.max_pool_backward_reshape, reference.max_pool
POOL_FAST = fast_layers.max_pool_forward_fast, fast_layers.max_pool_backward_fast, reference.max_pool
POOLING = [
    Case("max_pool_naive, overlapping", *POOL_NAIVE, pool, sizes=dict(HH=3, WW=3)),
    Case("max_pool_naive, gaps", *POOL_NAIVE, pool, sizes=dict(stride=4)),
    Case("max_pool_naive, pairs", *POOL_NAIVE, pool_of_pairs),
    Case("max_pool_im2col, overlapping", *POOL_IM2COL, pool, sizes=dict(HH=3, WW=3)),
    Case("max_pool_reshape", *POOL_RESHAPE, tiles),
    Case("max_pool_fast, tiles", *POOL_FAST, tiles),
    Case("max_pool_fast, overlapping", *POOL_FAST, pool, sizes=dict(HH=3, WW=3)),
    Case("max_pool_fast, pairs", *POOL_FAST, pool_of_pairs),
]


def spatial_batchnorm(draw, N, C, H, W):
    draw.needs(N * H * W > 1)  # torch takes no batch or group of one number
    return dict(x=draw(N, C, H, W), gamma=draw(C), beta=draw(C), bn_param=averages(draw, C))


def spatial_groupnorm(draw, N, G, K, H, W):
    draw.needs(N * K * H * W > 1)
    scale = dict(gamma=draw(1, G * K, 1, 1), beta=draw(1, G * K, 1, 1))
    return dict(x=draw(N, G * K, H, W)) | scale | dict(G=G, gn_param={"eps": 1e-3})


def conv_bn(draw, N, C, H, W, F, HH, WW, stride, pad):
    draw.needs(N * ((H + 2 * pad - HH) // stride + 1) > 1)
    inputs = conv(draw, N, C, H, W, F, HH, WW, stride, pad)
    conv_param = inputs.pop("conv_param")
    return inputs | dict(gamma=draw(F), beta=draw(F), conv_param=conv_param, bn_param=averages(draw, F))


def conv_pool(draw, N, C, H, W, F, HH, WW, stride, pad):
    window_fits(draw, H, W, HH + stride, WW + stride, pad)
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 1}
    return conv(draw, N, C, H, W, F, HH, WW, stride, pad) | dict(pool_param=pool_param)


BLOCKS = [
    Case("spatial_batchnorm", layers.spatial_batchnorm_forward, layers.spatial_batchnorm_backward,
         reference.batchnorm, spatial_batchnorm),
    Case("spatial_batchnorm, test mode", layers.spatial_batchnorm_forward, None, reference.batchnorm,
         lambda draw, N, C, H, W: spatial_batchnorm(draw, N, C, H, W) | dict(bn_param=averages(draw, C, "test")),
         call=without_cache),
    Case("spatial_groupnorm", layers.spatial_groupnorm_forward, layers.spatial_groupnorm_backward,
         reference.spatial_groupnorm, spatial_groupnorm),
    Case("conv_relu", layer_utils.conv_relu_forward, layer_utils.conv_relu_backward, reference.conv_relu, conv),
    Case("conv_bn_relu", layer_utils.conv_bn_relu_forward, layer_utils.conv_bn_relu_backward,
         reference.conv_bn_relu, conv_bn, vanishing=("db",)),  # batch norm takes b away again
    Case("conv_relu_pool", layer_utils.conv_relu_pool_forward, layer_utils.conv_relu_pool_backward,
         reference.conv_relu_pool, conv_pool),
]  # fmt: skip
