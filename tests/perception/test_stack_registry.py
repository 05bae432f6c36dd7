"""Finding stacks by name, the user's own objects among them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_stack import TinyStack

from seesame.errors import UserError
from seesame.perception.registry import complete_stack, load_stack, stacks
from seesame.perception.stack import Stack

OWN = """
import torch

class Own:
    name = "own"
    fingerprint = "00"
    classes = ("dark", "bright")
    input_size = (4, 6)
    has_pose = False
    judged = 0
    differentiable = True

    def segment(self, rgb):
        grey = rgb.mean(1, keepdim=True)
        return torch.cat([128 - grey, grey - 128], dim=1)

    def pose(self, pairs):
        return pairs.new_zeros((pairs.shape[0], 0))

    def to(self, device):
        self.device = device
        return self

class Half:
    name = "half"
    classes = ()

class Flat(Own):
    input_size = 5

instance = Own()
number = 3

def make():
    return Own()

def broken():
    raise RuntimeError("first\\nsecond")

class nested:
    inner = Own()

class Module(Own, torch.nn.Module):
    def forward(self, rgb):
        raise RuntimeError("a stack is not called")

module = Module()

class Slotted:
    __slots__ = tuple(name for name in dir(Own) if name[0] != "_")

    def __init__(self):
        for name in self.__slots__:
            setattr(self, name, getattr(instance, name))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, which is not on Python's path."""
    (tmp_path / "own_stack_for_test.py").write_text(OWN)
    (tmp_path / "needs_more_for_test.py").write_text("import no_such_module_xyz")
    (tmp_path / "bad_for_test.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    for name in ("own_stack_for_test", "needs_more_for_test", "bad_for_test"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "own_stack_for_test"


@pytest.mark.parametrize("attribute", ["instance", "make", "Own", "nested.inner", "module"])
def test_own_objects(own: str, attribute: str) -> None:
    path = list(sys.path)
    stack = load_stack(f"{own}:{attribute}")
    assert isinstance(stack, Stack)
    assert stack.device == torch.device("cpu")
    assert stack.shared_input is False
    assert stack.segment(torch.full((1, 3, 2, 2), 200.0)).argmax(1).all()
    assert sys.path == path


def test_the_example_in_the_docs(own: str) -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "stacks.md"
    example = re.search(r"```python\n(.*?)```", docs.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    Path("docs_stack_for_test.py").write_text(example[1])
    stack = load_stack("docs_stack_for_test:Brightness")
    assert stack.segment(torch.zeros(2, 3, 10, 10)).shape == (2, 2, 96, 128)
    assert stack.pose(torch.zeros(2, 2, 3, 10, 10)).shape == (2, 0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{own}:Half", "is not a stack: it lacks fingerprint, input_size"),
        ("{own}:number", "is not a stack: it lacks name"),
        ("{own}:Flat", r"input_size must be \(height, width\), not 5"),
        ("{own}:absent", "has no absent"),
        ("{own}:Slotted", "is not a stack: it lacks shared_input"),
        ("{own}:broken", "making the stack failed: RuntimeError: first$"),
        ("needs_more_for_test:x", "needs no_such_module_xyz"),
        ("bad_for_test:x", "importing it failed: ZeroDivisionError"),
        ("no_such_module_xyz:x", "no stack or Python module called 'no_such_module_xyz'"),
        ("litte", "unknown stack 'litte'; use lite, comma"),
        ("", "unknown stack ''"),
        ("lite:x", "no stack or Python module called 'lite'"),
        ("onnx:", "say onnx:DIR"),
        ("onnx", "say onnx:DIR"),
    ],
)
def test_mistakes_get_one_line(own: str, spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_stack(spec.format(own=own))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there(own: str, device: str) -> None:
    (Path.cwd() / "tensor_stack_for_test.py").write_text(
        OWN.replace("self.device = device", "torch.zeros(1).to(device)")
    )
    with pytest.raises(UserError, match=f"cannot go to the device {device}"):
        load_stack("tensor_stack_for_test:Own", device)


def test_a_stack_that_says_so_shares_its_input(own: str) -> None:
    (Path.cwd() / "sharing_stack_for_test.py").write_text(
        OWN.replace("judged = 0", "judged = 0; shared_input = True")
    )
    assert load_stack("sharing_stack_for_test:Own").shared_input is True


def test_a_class_that_derives_from_the_protocol_inherits_the_defaults() -> None:
    stack = TinyStack()
    assert (stack.has_pose, stack.differentiable, stack.shared_input) == (True, True, False)
    assert complete_stack(stack, "tiny") is stack


def test_stacks_are_listed_without_torch() -> None:
    code = (
        "import sys\nfrom seesame.perception.registry import stacks\nassert stacks()\n"
        "assert not {'torch', 'timm', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_list_names_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEESAME_HOME", str(tmp_path))
    listed = {info.name: info for info in stacks()}
    assert list(listed) == ["lite", "comma", "onnx:DIR", "module:attr", "flow"]
    assert not listed["comma"].available
    assert "run: " in listed["comma"].hint
    assert all(info.available == (info.hint == "") for info in listed.values())
