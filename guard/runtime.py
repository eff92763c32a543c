"""ONNX Runtime: one session over verified bytes, on the device that was asked for or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from time import perf_counter
from typing import Any, Literal

from numpy.typing import NDArray

from guard.errors import BundleRefused, MissingRuntime

__all__ = ["Device", "Runtime"]

Device = Literal["cpu", "cuda"]
"""Where the graph runs. There is no automatic choice: a fall-back from GPU to CPU would go unseen."""

_PROVIDERS: dict[Device, list[Any]] = {
    "cpu": ["CPUExecutionProvider"],
    # TF32 rounds to 10 bits: golden scores made on a CPU would not replay.
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
}
_DISTRIBUTIONS = {"cpu": "onnxruntime", "gpu": "onnxruntime-gpu"}
_SILENT = 4


class Runtime:
    """A session of ONNX Runtime.

    `threads` that one call may use, 0 for all cores. `busy_seconds` is the time that all calls together took, for who
    judges in one thread and wants to know what of it was the model's. Raises MissingRuntime when ONNX Runtime is not
    installed, is installed twice, or cannot run on `device`; BundleRefused when it cannot load the graph.
    """

    def __init__(self, model: bytes, device: Device = "cpu", threads: int = 0) -> None:
        ort = _import_onnxruntime()
        wanted = [entry if isinstance(entry, str) else entry[0] for entry in _PROVIDERS[device]]
        if wanted[0] not in ort.get_available_providers():
            raise _no_device(device)
        try:
            session = ort.InferenceSession(model, _options(ort, threads), providers=_PROVIDERS[device])
        except Exception as error:
            raise BundleRefused(f"model.onnx: ONNX Runtime cannot load it ({error}); train the bundle again") from error
        if session.get_providers() != wanted:
            raise _no_device(device)
        session.disable_fallback()
        self._session = session
        self.busy_seconds = 0.0

    def run(self, outputs: Sequence[str], x: NDArray[Any], y: NDArray[Any]) -> list[NDArray[Any]]:
        """The named outputs for encoded samples `x`, `y`. Raises whatever ONNX Runtime raises."""
        began = perf_counter()
        try:
            found: list[NDArray[Any]] = self._session.run(list(outputs), {"x": x, "y": y})
        finally:
            self.busy_seconds += perf_counter() - began
        return found


def _import_onnxruntime() -> Any:
    installed = [extra for extra, name in _DISTRIBUTIONS.items() if _is_installed(name)]
    if len(installed) == 2:
        raise MissingRuntime(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; run "
            "`pip uninstall -y onnxruntime onnxruntime-gpu`, then `pip install 'depois-guard[cpu]'` "
            "or `pip install 'depois-guard[gpu]'`"
        )
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise MissingRuntime(
            f"ONNX Runtime cannot be imported ({error}); run `pip install 'depois-guard[cpu]'`, "
            "or `pip install 'depois-guard[gpu]'` on a machine with an NVIDIA GPU"
        ) from error
    ort.disable_telemetry_events()
    return ort


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _options(ort: Any, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take a core each between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Every failure is raised as well; the log would print it a second time, in colour, on standard error.
    options.log_severity_level = _SILENT
    return options


def _no_device(device: Device) -> MissingRuntime:
    extra = "gpu" if device == "cuda" else "cpu"
    return MissingRuntime(
        f"ONNX Runtime cannot run on {device!r} here; run `pip install 'depois-guard[{extra}]'` "
        f"on a machine that has it, or ask for another device"
    )
