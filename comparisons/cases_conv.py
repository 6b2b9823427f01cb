"""Cases of the notebook ConvolutionalNetworks: convolution and pooling in every implementation, norms of channels."""

from torch.nn import functional as F

from comparisons import adapters
from comparisons.case import Case
from comparisons.catalogue import averages, given, layer, plain, size

CONV = dict(x="N C H W", w="F C HH WW", b="F")
SCALE = dict(gamma="C", beta="C")


def conv_param(s: object, rng: object) -> dict:
    return {"stride": s.stride, "pad": s.pad}


def pool_param(s: object, rng: object) -> dict:
    return {"pool_height": s.HH, "pool_width": s.WW, "stride": s.stride}


def tiled(s: object, rng: object) -> dict:
    return {"pool_height": s.HH, "pool_width": s.HH, "stride": s.HH}


def fits(s: object) -> bool:
    """Whether a window fits into the padded image."""
    return s.H + 2 * s.pad >= s.HH and s.W + 2 * s.pad >= s.WW


# Sizes of windows, strides and paddings to draw beside those of the images.
WINDOW = dict(H=(1, 7), W=(1, 7), HH=(1, 4), WW=(1, 4), stride=(1, 4))
SLIDING = dict(ranges=WINDOW | {"pad": (0, 3)}, requires=fits)
POOLING = dict(ranges=WINDOW, sizes={"pad": 0}, requires=fits)


def conv(pattern: str, note: str = "", **sizes: int) -> Case:
    options = SLIDING | {"sizes": sizes}
    return layer(pattern, adapters.conv, note=note, **CONV, conv_param=conv_param, **options)


def pool(pattern: str, note: str = "", **sizes: int) -> Case:
    options = POOLING | {"sizes": sizes | {"pad": 0}}
    return layer(pattern, adapters.max_pool, note=note, x="N C H W", pool_param=pool_param, **options)


def tiles(pattern: str, note: str = "") -> Case:
    """Square windows side by side, nothing left over."""
    return layer(pattern, adapters.max_pool, note=note, x="N C HH*H HH*W", pool_param=tiled)


def pairs(s: object, rng: object) -> dict:
    return {"stride": (s.stride, s.stride + 1), "pad": (s.pad, s.pad + 1)}


COLUMNS = dict(fh=size("HH"), fw=size("WW"), padding=size("pad"), stride=size("stride"))
OUTPUT = "((H + 2*pad - HH)//stride + 1) * ((W + 2*pad - WW)//stride + 1) * N".replace(" ", "")
IMAGES = size("(N, C, H, W)")
CONVOLUTION = [
    conv("conv_{}_naive"),
    conv("conv_{}_naive", "stride > filter", stride=4, HH=3, WW=2),
    conv("conv_{}_naive", "odd padding", pad=3, stride=1),
    layer("conv_{}_naive", adapters.conv, note="pairs", **CONV, conv_param=pairs, **SLIDING),
    conv("conv_{}_im2col"),
    conv("conv_{}_strides"),
    conv("conv_{}_fast"),
    conv("conv_{}_fast", "several blocks", N=3, C=7, H=41, W=43, HH=3, WW=3, stride=1),
    layer("conv_{}_fast", adapters.conv, note="pairs", **CONV, conv_param=pairs, **SLIDING),
    plain("get_im2col_indices", adapters.im2col_indices, outputs=("k", "i", "j"), x_shape=IMAGES, **COLUMNS, **SLIDING),
    plain("im2col_indices", adapters.im2col, x="N C H W", **COLUMNS, **SLIDING),
    plain("col2im_indices", adapters.col2im, cols=f"C*HH*WW {OUTPUT}", x_shape=IMAGES, **COLUMNS, **SLIDING),
    pool("max_pool_{}_naive", "overlapping", HH=3, WW=3),
    pool("max_pool_{}_naive", "gaps", stride=4),
    pool("max_pool_{}_im2col", "overlapping", HH=3, WW=3),
    tiles("max_pool_{}_reshape"),
    tiles("max_pool_{}_fast", "tiles"),
    pool("max_pool_{}_fast", "overlapping", HH=3, WW=3),
]

MANY = dict(requires=lambda s: s.N * s.H * s.W > 1)
BN = dict(bn_param=averages("C", "train"))
GROUPS = dict(x="N G*K H W", gamma="1 G*K 1 1", beta="1 G*K 1 1", G=size("G"), gn_param=given({"eps": 1e-3}))
CHANNELS_OF_GROUPS = dict(ranges=dict(G=(1, 3), K=(1, 3)), requires=lambda s: s.N * s.K * s.H * s.W > 1)
SPATIAL_NORMS = [
    layer("spatial_batchnorm_{}", adapters.batchnorm, x="N C H W", **SCALE, **BN, **MANY),
    layer("spatial_batchnorm_{}", adapters.batchnorm, None, note="test mode", x="N C H W", **SCALE,
          bn_param=averages("C", "test")),
    layer("spatial_groupnorm_{}", adapters.groupnorm, **GROUPS, **CHANNELS_OF_GROUPS),
]  # fmt: skip


def enough(s: object) -> bool:
    """Whether batch norm gets more than one number per channel."""
    return fits(s) and s.N * ((s.H + 2 * s.pad - s.HH) // s.stride + 1) > 1


def enough_to_pool(s: object) -> bool:
    """Whether two windows fit each way."""
    return s.H + 2 * s.pad >= s.HH + s.stride and s.W + 2 * s.pad >= s.WW + s.stride


def pool_of_conv(s: object, rng: object) -> dict:
    return {"pool_height": 2, "pool_width": 2, "stride": 1}


SANDWICHES = [
    layer("conv_relu_{}", lambda *a: F.relu(adapters.conv(*a)), **CONV, conv_param=conv_param, **SLIDING),
    layer("conv_bn_relu_{}", adapters.conv_bn_relu, x="N C H W", w="F C HH WW", b="F", gamma="F", beta="F",
          conv_param=conv_param, bn_param=averages("F", "train"), vanishing=("db",), **SLIDING | {"requires": enough}),
    layer("conv_relu_pool_{}", adapters.conv_relu_pool, **CONV, conv_param=conv_param, pool_param=pool_of_conv,
          **SLIDING | {"requires": enough_to_pool}),
]  # fmt: skip
