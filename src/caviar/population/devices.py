"""Where populations run: Keras on JAX, one device per core, compiled programs kept on disk."""

import contextlib
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from caviar.errors import BackendError


@dataclass(frozen=True)
class Devices:
    """What JAX offers in this process.

    Attributes:
        kind: `"cpu"` or `"gpu"`.
        count: How many devices share a population's members.
        cores: How many cores this process may use.
        notice: What a person should know about the set-up; empty when all is as it should be.
    """

    kind: str
    count: int
    cores: int
    notice: str = ""


def choose_backend() -> None:
    """Make JAX the Keras backend of this process, whatever `~/.keras/keras.json` says.

    Does nothing once Keras is imported: `start` then tells whether its backend can be used.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"


@cache
def start() -> Devices:
    """Bring JAX up with one device per core and the compilation cache on; once per process.

    Raises:
        BackendError: Keras already runs on another backend in this process.
    """
    choose_backend()
    import jax
    import keras

    if keras.backend.backend() != "jax":
        raise BackendError(
            f"Expected Keras on its JAX backend, but this process already imported it on "
            f"{keras.backend.backend()!r}. Import caviar before keras, or set KERAS_BACKEND=jax "
            f"before Python starts."
        )
    _keep_compiled_programs()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # If JAX already runs, what it has is used, and the notice below says so.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", cores)
    kind, count = jax.devices()[0].platform, len(jax.devices())
    notice = ""
    if kind == "cpu" and count == 1 and cores > 1:
        notice = (
            f"JAX was already running with one device in this process, so one of {cores} cores trains: "
            f"expect up to {cores} times the time. Import caviar and call it before other JAX code to use all."
        )
    return Devices(kind, count, cores, notice)


def cache_folder() -> Path:
    """Where compiled programs are kept between runs: `$XDG_CACHE_HOME/caviar/xla`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "caviar" / "xla"


def _keep_compiled_programs() -> None:
    import jax

    if jax.config.jax_compilation_cache_dir is not None:
        return  # the user's own choice
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return  # a cache only saves time; a read-only home must not stop the run
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Small programs are ours: the default thresholds would keep none of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
