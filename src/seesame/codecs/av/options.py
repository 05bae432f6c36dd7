"""The settings of the classical codecs, and the options that each encoder takes for them."""

from dataclasses import dataclass

SVTAV1_TUNES = {"vq": 0, "ssim": 2, "iq": 3, "ms-ssim": 4}
"""SVT-AV1's numbers of its tunings; its default is 1, PSNR."""

_WITHOUT_AQ = ("ultrafast", "superfast")
"""Presets of x264 or x265 that turn adaptive quantisation off."""

_UP_TO_AVX2 = "MMX2,SSE2Fast,SSSE3,SSE4.2,AVX,FMA3,BMI2,AVX2"


@dataclass(frozen=True)
class AvSettings:
    """The settings of a classical codec; some defaults are each codec's own (``settings.FAMILY``).

    Sigmas are in coded pixels: those of the smaller picture that the encoder gets.
    """

    crf: int
    """Constant quality: 0 is the best; up to 51 (x264, x265) or 63 (svtav1, vp9)."""
    preset: str
    """The effort: a name (x264, x265) or a number, where low is slow (svtav1, vp9)."""
    scale: float = 0.4
    """Coded size / source size, 0.05..1."""
    gop: int = 240
    """Frames from one key frame to the next at most, 1..9999."""
    grain: int = 0
    """Film grain synthesis, 0..50; only svtav1 has it (AV1 specification, 7.18.3)."""
    down: str = "lanczos"
    """The kernel that makes frames smaller."""
    up: str = "bicubic"
    """The kernel that makes decoded frames larger."""
    threads: int = 2
    """Threads of the encoder, 1..64; fixed, since an encoder's bytes may depend on it."""
    kbps: int = 0
    """Average kilobits a second, which ``crf`` then gives way to; 0 for constant quality."""
    depth: int = 8
    """Bits of a coded sample, 8 or 10; not vp9."""
    tune: str = "default"
    """The encoder's tuning, by its own names."""
    bframes: int = -1
    """B frames in a row at most, 0..16 (x264, x265), or 0 (svtav1, vp9), with which no frame waits
    for a later one; -1 leaves it to the preset."""
    scenecut: bool = False
    """True where a cut in the scene gets a key frame; x264 and x265, where it is on."""
    open_gop: bool = False
    """True where frames may refer across a key frame; not vp9. Only x265 has it on."""
    denoise: bool = False
    """True where frames are denoised for film grain synthesis; svtav1, with ``grain``."""
    sharpness: int = 0
    """The encoder's preference for sharp edges: -7..7 (svtav1), 0..7 (vp9)."""
    qm: bool = False
    """True where svtav1 uses quantisation matrices (AV1 specification, 7.12.2)."""
    blur: float = 0.0
    """Sigma of a Gaussian over the frames before they are coded, 0..20."""
    chroma: float = 1.0
    """Factor on the colour differences before coding, 0..1."""
    presharpen: float = 0.0
    """Amount of an unsharp mask (sigma 1) before coding, 0..5."""
    first_qp: int = 0
    """Added to the quantiser of the first frame of each pair, -20..20; x264."""
    roi_qp: int = 0
    """Added to the quantiser where the stack is not sensitive, 0..20; x264 and x265."""
    sharpen: float = 0.0
    """Amount of an unsharp mask over the enlarged picture at decode, 0..5 by 0.05."""
    sharpen_size: int = 9
    """Side of that mask's kernel in source pixels, odd, 3..15."""


AT_DECODE = ("up", "sharpen", "sharpen_size")
"""Settings that change nothing in the stream, only what the decoder does with it."""


def x264(settings: AvSettings, num_frames: int) -> dict[str, str]:
    """Return the options of ``libx264``."""
    import torch

    params = _x26_params(settings)
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        # With AVX-512, x264's macroblock tree gives other bytes from one run to the next.
        params["asm"] = _UP_TO_AVX2
    if settings.open_gop:
        params["open-gop"] = "1"
    if settings.first_qp:
        # A zone's factor on the bitrate divides the quantiser's step, which doubles every 6 QP.
        factor = 2.0 ** (-settings.first_qp / 6)
        zones = (f"{first},{first},b={factor:.6f}" for first in range(0, num_frames, 2))
        params["zones"] = "/".join(zones)
    return _x26_options(settings) | ({"x264-params": _joined(params)} if params else {})


def x265(settings: AvSettings, num_frames: int) -> dict[str, str]:
    """Return the options of ``libx265``."""
    # One frame thread makes the bytes independent of the machine; info=0 leaves out its own note.
    params = {"log-level": "none", "info": "0", "frame-threads": "1"}
    params["pools"] = str(settings.threads)
    if not settings.open_gop:
        params["open-gop"] = "0"
    params |= _x26_params(settings)
    return _x26_options(settings) | {"x265-params": _joined(params)}


def svtav1(settings: AvSettings, num_frames: int) -> dict[str, str]:
    """Return the options of ``libsvtav1``."""
    params = {"lp": str(settings.threads), "film-grain": str(settings.grain)}
    if settings.denoise:
        params["film-grain-denoise"] = "1"
    if settings.tune in SVTAV1_TUNES:
        params["tune"] = str(SVTAV1_TUNES[settings.tune])
    if settings.open_gop:
        params["irefresh-type"] = "1"
    if settings.sharpness:
        params["sharpness"] = str(settings.sharpness)
    if settings.bframes == 0:
        params["pred-struct"] = "1"  # low delay
    if settings.qm:
        params |= {"enable-qm": "1", "qm-min": "0"}
    return _quality(settings) | {"preset": settings.preset, "svtav1-params": _joined(params)}


def vp9(settings: AvSettings, num_frames: int) -> dict[str, str]:
    """Return the options of ``libvpx-vp9``."""
    options = _quality(settings) | {"deadline": "good", "cpu-used": settings.preset}
    if not settings.kbps:
        options["b"] = "0"  # constant quality
    if settings.tune != "default":
        options["tune-content" if settings.tune == "film" else "tune"] = settings.tune
    if settings.sharpness:
        options["sharpness"] = str(settings.sharpness)
    if settings.bframes == 0:
        options |= {"lag-in-frames": "0", "auto-alt-ref": "0"}
    return options


def _quality(settings: AvSettings) -> dict[str, str]:
    return {"b": str(1000 * settings.kbps)} if settings.kbps else {"crf": str(settings.crf)}


def _x26_options(settings: AvSettings) -> dict[str, str]:
    options = _quality(settings) | {"preset": settings.preset}
    if settings.tune != "default":
        options["tune"] = settings.tune
    return options


def _x26_params(settings: AvSettings) -> dict[str, str]:
    """Return the parameters that x264 and x265 call by the same names."""
    params = {}
    if settings.bframes >= 0:
        params["bframes"] = str(settings.bframes)
    if not settings.scenecut:
        params["scenecut"] = "0"
    if settings.roi_qp and (settings.preset in _WITHOUT_AQ or settings.tune == "psnr"):
        params["aq-mode"] = "1"  # without it the encoder would not look at regions
    return params


def _joined(params: dict[str, str]) -> str:
    return ":".join(f"{name}={value}" for name, value in params.items())
