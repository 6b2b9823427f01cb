"""The official PyTorch tutorials, reproduced and improved. Each runs as `python -m tutorials.<name>`."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

COMPILER = "torch._dynamo.utils"


class WithoutCompiler(MetaPathFinder):
    """Imports torchvision's roi_align without torch's compiler, whose import takes as long as that of torch itself:
    roi_align takes one function from it, to call when it compiles. No classifier uses it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The module's own spec, whose loader finds the compiler's stand-in."""
        if name != "torchvision.ops.roi_align" or COMPILER in sys.modules:
            return None
        spec = PathFinder.find_spec(name, path)
        if f"from {COMPILER} import is_compile_supported" not in spec.loader.get_source(name):
            return None  # another torchvision, which may need more of it
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            sys.modules[COMPILER] = stand_in = ModuleType(COMPILER)
            stand_in.is_compile_supported = is_compile_supported
            try:
                run(module)
            finally:
                del sys.modules[COMPILER]

        spec.loader.exec_module = exec_module
        return spec


def is_compile_supported(device_type: str) -> bool:
    """torch's own answer; only this call imports the compiler."""
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)


sys.meta_path.insert(0, WithoutCompiler())
