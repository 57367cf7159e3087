"""Where a warm TFX runtime is found, and by what it is known; standard library only, either interpreter."""

import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# What the parent has imported of this package; user code is imported by each node.
CODE = ("contracts", "jobs", "quality", "tfx_worker")
# Beginnings of names that are read when a library is loaded, so that a node cannot change them afterwards. A test looks
# at what is read; what only a program loads into itself (LD_) or a graphics card (CUDA_) shows it does not see.
FIXED_AT_IMPORT = (
    *("TF_", "TF2_", "KERAS_", "XLA_", "TPU_", "LLVM_", "ABSL_", "GLOG_", "GRPC_", "OTEL_", "PROTOCOL_BUFFERS_"),
    *("CUDA_", "CUDNN_", "NVIDIA_", "NCCL_", "ONEDNN_", "DNNL_", "ROCM_", "HIP_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO", "ACC_", "GFORTRAN_", "JOBLIB_", "LOKY_"),
    *("ARROW_", "JE_ARROW_", "NUMPY_", "NPY_", "PANDAS_", "SCIPY_", "SKLEARN_"),
    *("HDF5_", "PILLOW_", "NLTK_", "SACREBLEU"),
    *("GCS_", "GCE_", "NO_GCE_CHECK", "GOOGLE_API_", "GOOGLE_LOG", "GOOGLE_ALSOLOG", "CLOUDSDK_", "APPENGINE_"),
    *("API_ENDPOINT_OVERRIDE", "API_VERSION_OVERRIDE", "ENABLE_GCS_"),
    *("AWS_CONFIG", "AWS_CSM_", "AWS_DEFAULT_", "AWS_EC2_", "AWS_MAX_", "AWS_PROFILE", "AWS_REGION", "AWS_RETRY_"),
    *("AWS_SHARED_", "OPENSSL_", "CRYPTOGRAPHY_", "SSL_CERT_", "SSLKEYLOG", "HTTPLIB2_"),
    *("LD_", "MALLOC_", "GLIBC_", "LANG", "LC_", "EXPAT_", "XML_", "SQLITE_", "WRAPT_"),
)
LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less its closing zero


class RuntimeUnavailableError(Exception):
    """The warm runtime cannot be used; a fresh process can. The message says why."""


@dataclass(frozen=True)
class RuntimePlace:
    """The files of one runtime: one for each user, interpreter, copy of this package and fixed environment.

    Attributes:
        folder: For its owner only.
        key: What its files are called.
    """

    folder: Path
    key: str

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.key}.sock"

    @property
    def lock(self) -> Path:
        """Held by the runtime for as long as it may be asked."""
        return self.folder / f"{self.key}.lock"

    @property
    def about(self) -> Path:
        """The process: pid, start time in clock ticks since boot, version."""
        return self.folder / f"{self.key}.json"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.key}.log"

    def check(self) -> None:
        """Make the folder and see to it that nobody else can have put anything into it.

        Raises:
            RuntimeUnavailableError: The folder or the socket is not this user's alone.
        """
        if not hasattr(socket, "SO_PEERCRED"):
            raise RuntimeUnavailableError("this system does not say who is at the other end of a socket (Linux does)")
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            raise RuntimeUnavailableError(f"the path {self.socket} is too long for a socket: set XDG_RUNTIME_DIR")
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            found = self.folder.lstat()
        except OSError as error:
            raise RuntimeUnavailableError(f"there is no folder for it: {error}") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise RuntimeUnavailableError(f"{self.folder} is not a folder of this user's alone (mode 0700): remove it")
        try:
            found = self.socket.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise RuntimeUnavailableError(f"{self.socket} is not a socket of this user's: remove it")


def find_runtime_place(tfx_python: Path, environment: Mapping[str, str]) -> RuntimePlace:
    """Return where the runtime of an interpreter is, whether it runs or not.

    Args:
        tfx_python: The TFX interpreter; not resolved, as a virtual environment's is a link to another.
        environment: That of a node.
    """
    stated = environment.get("XDG_RUNTIME_DIR")
    if stated and Path(stated).is_dir():
        folder = Path(stated) / "headrace"
    else:
        folder = Path(tempfile.gettempdir()) / f"headrace-{os.geteuid()}"
    parts = [str(_environment_folder(tfx_python)), str(PACKAGE.resolve())]
    parts += [f"{name}={value}" for name, value in sorted(keep_fixed(environment).items())]
    return RuntimePlace(folder, hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16])


def keep_fixed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that count only where they stood before TensorFlow was imported."""
    return {name: value for name, value in environment.items() if name.startswith(FIXED_AT_IMPORT)}


def fingerprint_runtime(tfx_python: Path) -> str:
    """Digest what a runtime has loaded: the installed packages, and this package's code by name, size and time."""
    root = _environment_folder(tfx_python)
    digest = hashlib.sha256()
    for name in ("pyvenv.cfg", ".headrace-lock"):
        file = root / name
        digest.update(f"{name} {file.read_bytes().hex() if file.is_file() else None}\n".encode())
    for packages in sorted(root.glob("lib/python*/site-packages")):
        digest.update("\n".join(sorted(package.name for package in packages.glob("*-info"))).encode())
    for file in sorted(_list_code()):
        found = file.stat()
        digest.update(f"{file.relative_to(PACKAGE)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _environment_folder(tfx_python: Path) -> Path:
    return tfx_python.parent.resolve().parent


def _list_code() -> Iterator[Path]:
    yield from (PACKAGE / "__init__.py", PACKAGE / "exceptions.py")
    for folder in CODE:
        yield from (PACKAGE / folder).rglob("*.py")
