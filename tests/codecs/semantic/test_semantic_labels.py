"""The masks of a file as labels: exactly those that were coded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_semantic import SIZE, SmallStack, small_clip

from seesame.bitstream.container import Container, Section
from seesame.codecs.registry import get_codec
from seesame.codecs.semantic import decode
from seesame.codecs.semantic.installed import renderer_for
from seesame.codecs.semantic.labels import palette, read_labels, write_labels
from seesame.codecs.semantic.masks.coder import Masks, decode_masks
from seesame.codecs.semantic.sections import MAX_CLASSES, read_head
from seesame.context import EncodeContext
from seesame.errors import DamagedError, OutputExistsError, UserError
from seesame.metric.evaluator import reference_outputs
from seesame.video.reading.reader import open_clip

SECOND, EVERY = {"simplify": 0}, {"simplify": 0, "every_frame": True}
pytestmark = pytest.mark.usefixtures("renderers")


def encode(settings: dict[str, Any], count: int = 9) -> Container:
    clip = small_clip(count, SIZE)
    clip.source_bytes = 2000  # of so few, a byte is worth many pixels
    return get_codec("semantic").encode(clip, settings, EncodeContext(stack=SmallStack()))


def coded(container: Container) -> Masks:
    """Return the masks of a file, decoded on their own."""
    shape = (read_head(container).num_masks(container), *SIZE)
    return decode_masks(
        container.sections[Section.MASKS], shape, 3, renderer_for(SmallStack()).prior
    )


@pytest.mark.parametrize("settings", [SECOND, EVERY, {"simplify": 30}])
def test_labels_are_the_coded_masks(settings: dict[str, Any]) -> None:
    container = encode(settings)
    labels = read_labels(container)
    masks = np.stack(list(labels))
    np.testing.assert_array_equal(masks, coded(container))
    assert labels.classes == SmallStack.classes
    assert len(labels) == len(masks)
    assert labels.size == SIZE
    seen = reference_outputs(small_clip(9, SIZE), SmallStack(), every_frame=True)
    assert seen.first_classes is not None
    wanted = seen.classes.numpy()
    if "every_frame" in settings:
        assert (labels.frames, labels.fps) == (range(9), 20)
        np.testing.assert_array_equal(masks[::2], seen.first_classes.numpy())
        masks = masks[1::2]
    else:
        assert (labels.frames, labels.fps) == (range(1, 9, 2), 10)
    assert labels.changed == pytest.approx((masks != wanted).mean())
    assert (labels.changed == 0) == (settings["simplify"] == 0)


@pytest.mark.parametrize(("count", "frames"), [(2, [1]), (3, [1]), (6, [1, 3, 5])])
def test_labels_say_whose_they_are(count: int, frames: list[int]) -> None:
    assert list(read_labels(encode(SECOND, count)).frames) == frames


def test_no_network_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    container = encode(SECOND)

    def refused(*arguments: Any) -> None:
        raise AssertionError("a network was run")

    monkeypatch.setattr(decode.Drawing, "pictures", refused)
    monkeypatch.setattr("seesame.codecs.semantic.networks.Renderer.forward", refused)
    write_labels(read_labels(container), tmp_path / "masks")
    assert len(list((tmp_path / "masks").iterdir())) == 4


@pytest.mark.parametrize("settings", [SECOND, EVERY], ids=["second frames", "every frame"])
def test_every_kind_of_output_holds_them(settings: dict[str, Any], tmp_path: Path) -> None:
    container = encode(settings)
    labels, masks = read_labels(container), coded(container)
    for name in ("masks", "masks.npz", "masks.mkv", "masks.mp4"):
        write_labels(labels, tmp_path / name)

    names = [f"{frame:06d}.png" for frame in labels.frames]
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == names
    for name, mask in zip(names, masks, strict=True):
        with Image.open(tmp_path / "masks" / name) as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.array(picture), mask)
            np.testing.assert_array_equal(np.array(picture.convert("RGB")), palette()[mask])

    with np.load(tmp_path / "masks.npz", allow_pickle=False) as held:
        np.testing.assert_array_equal(held["masks"], masks)
        assert held["masks"].dtype == np.uint8
        assert held["frames"].tolist() == list(labels.frames)
        assert held["classes"].tolist() == list(SmallStack.classes)

    for name in ("masks.mkv", "masks.mp4"):
        video = open_clip(tmp_path / name)
        assert video.fps == labels.fps
        np.testing.assert_array_equal(np.concatenate(list(video.batches(4))), palette()[masks])


def test_every_class_has_its_own_colour() -> None:
    colours = palette()
    assert (colours.shape, colours.dtype) == ((MAX_CLASSES, 3), np.uint8)
    assert len(np.unique(colours, axis=0)) == MAX_CLASSES


@pytest.mark.parametrize("name", ["masks", "masks.npz", "masks.mkv"])
def test_an_output_is_whole_or_not_there(name: str, tmp_path: Path) -> None:
    container = encode(SECOND)
    out = tmp_path / name
    data = container.sections[Section.MASKS]
    container.sections[Section.MASKS] = data + b"\1"
    with pytest.raises(DamagedError, match=r"^drive\.ssm is damaged"):
        write_labels(read_labels(container, "drive.ssm"), out)
    assert not list(tmp_path.iterdir())
    container.sections[Section.MASKS] = data
    write_labels(read_labels(container), out)
    with pytest.raises(OutputExistsError):
        write_labels(read_labels(container), out)
    write_labels(read_labels(container), out, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["masks.avi", "masks.raw", "masks.png"])
def test_another_kind_of_output_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"use \.npz, \.mkv, \.mp4, or no suffix"):
        write_labels(read_labels(encode(SECOND, 2)), tmp_path / name)
