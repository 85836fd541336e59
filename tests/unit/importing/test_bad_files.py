"""Files that cannot be imported: each refusal says what is wrong, and nothing is written."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet34

from agelens.errors import CardError, UnknownNameError, UsageError
from agelens.inference import import_model

_ODD = {"fc_age.weight": (7, 256), "fc_pos.weight": (7, 256)}


def _thin(**changed: str) -> dict[str, torch.Tensor]:
    """ThinAge's keys and shapes; `changed` renames layers."""
    widths = [32] * 2 + [64] * 2 + [128] * 3 + [256] * 6
    state, inputs = {}, 3
    for number, width in enumerate(widths, 1):
        name = changed.get(f"conv{number}", f"conv{number}")
        state[f"{name}.0.weight"] = torch.zeros(width, inputs, 3, 3)
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.1.{part}"] = torch.ones(width)
        inputs = width
    head = changed.get("fc", "fc")
    return {**state, f"{head}.0.weight": torch.zeros(101, 256), f"{head}.0.bias": torch.zeros(101)}


def _saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def _refused(file: Path, output: Path, **said: object) -> str:
    with pytest.raises((CardError, UsageError)) as refusal:
        import_model(file, output, **said)  # type: ignore[arg-type]
    assert not output.exists()
    return str(refusal.value)


class _Harmful:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_that_wants_to_run_code_does_not(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    file = _saved(tmp_path / "a.pt", {"state_dict": {"fc.weight": _Harmful(mark)}})
    told = _refused(file, tmp_path / "model")
    assert "may run as code" in told
    assert "mkdir" in told
    assert not mark.exists()


def test_a_pickle_that_torch_did_not_write_says_so(tmp_path: Path) -> None:
    file = tmp_path / "a.pth"
    file.write_bytes(pickle.dumps(_Harmful(tmp_path / "ran"), protocol=4))
    told = _refused(file, tmp_path / "model")
    assert "instructions of pickle that torch.save does not write" in told
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_model_is_refused_with_how_to_save_it(tmp_path: Path) -> None:
    told = _refused(_saved(tmp_path / "a.pt", nn.Linear(2, 3)), tmp_path / "model")
    assert "torch.nn.modules.linear.Linear" in told
    assert "torch.save(model.state_dict(), path)" in told


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".h5", ".onnx"])
def test_half_a_file(suffix: str, tmp_path: Path) -> None:
    whole = _saved(tmp_path / "whole.pth", _thin()).read_bytes()
    file = tmp_path / f"half{suffix}"
    file.write_bytes(whole[: len(whole) // 2])
    told = _refused(file, tmp_path / "model")
    assert str(file) in told
    assert "cannot be read as" in told


@pytest.mark.parametrize("cut", [".pth", ".safetensors", ".h5"])
def test_a_file_that_is_cut_off_says_so(cut: str, tmp_path: Path) -> None:
    whole = tmp_path / f"whole{cut}"
    if cut == ".h5":
        with h5py.File(whole, "w") as file:
            file["model_weights/dense/kernel:0"] = np.zeros((30, 30))
    elif cut == ".safetensors":
        save_file({"fc.weight": torch.zeros(30, 30)}, whole)
    else:
        torch.save(_thin(), whole)
    file = tmp_path / f"half{cut}"
    file.write_bytes(whole.read_bytes()[:-20])
    told = _refused(file, tmp_path / "model")
    assert told.endswith(": it is cut off, as by a download that stopped; get it again")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".h5", ".onnx"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html><title>Virus scan warning</title>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "a pointer of Git LFS"),
    ],
)
def test_what_was_downloaded_in_its_place(
    suffix: str, content: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    told = _refused(file, tmp_path / "model")
    assert said in told
    assert told.count(". ") == 0  # one sentence, without advice for pickles


def test_an_archive_that_unpacks_to_more_than_it_is(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pth"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(100_000))
    assert "would unpack to 100,006 bytes" in _refused(file, tmp_path / "model")


def test_numbers_that_are_claimed_and_not_there(tmp_path: Path) -> None:
    state = {**_thin(), "fc.0.weight": torch.zeros(1).expand(10**5, 10**6)}
    told = _refused(_saved(tmp_path / "a.pth", state), tmp_path / "model")
    assert "its tensors have 100," in told
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("model_weights/dense/kernel:0", (10**6, 10**6), "f4", chunks=(9, 9))
    assert "1,000,000,000,000 numbers" in _refused(tmp_path / "a.h5", tmp_path / "model")


def test_tensors_of_other_kinds(tmp_path: Path) -> None:
    sparse, nothing = torch.zeros(2, 2).to_sparse(), torch.zeros(2, device="meta")
    for other in (sparse, nothing):
        file = _saved(tmp_path / "a.pth", {**_thin(), "fc.0.weight": other})
        assert "sparse, quantised or without numbers" in _refused(file, tmp_path / "model")


def test_a_program_of_torchscript(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl"):
            archive.writestr(f"a/{name}", b"")
    assert "is a program of TorchScript" in _refused(tmp_path / "a.pt", tmp_path / "model")


def test_numbers_of_another_file_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"0123456789")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        outside = [(str(secret), 0, 10)]
        file.create_dataset("model_weights/dense/kernel:0", (10,), "u1", external=outside)
    assert "kept in another file" in _refused(tmp_path / "a.h5", tmp_path / "model")


def test_an_onnx_file_that_keeps_numbers_in_another_is_refused(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.zeros((2, 2), np.float32), "weight")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="passwords")
    node = onnx.helper.make_node("Constant", [], ["answer"], value=weight)
    floats = onnx.TensorProto.FLOAT
    answer = onnx.helper.make_tensor_value_info("answer", floats, [2, 2])
    graph = onnx.helper.make_graph([node], "g", [], [answer])
    (tmp_path / "net.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    told = _refused(tmp_path / "net.onnx", tmp_path / "out")
    assert "keeps weights in files beside it" in told


def test_the_wrong_systems_file_says_whose_it_looks_like(tmp_path: Path) -> None:
    file = _saved(tmp_path / "thinage.pth", {"state_dict": _thin()})
    told = _refused(file, tmp_path / "model", layout="rapl")
    assert "no file of RAPL" in told
    assert "--from ldl" in told
    told = _refused(file, tmp_path / "model", layout="coral-tf")
    assert "--from ldl" in told


def test_nobodys_file_names_its_keys_and_the_layouts(tmp_path: Path) -> None:
    file = _saved(tmp_path / "mine.pth", {"stem.weight": torch.zeros(3), "tail": torch.zeros(2)})
    told = _refused(file, tmp_path / "model")
    assert "stem.weight, tail" in told
    assert "rapl, ldl" in told


def test_a_run_of_our_own_needs_no_import(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({"backbone.stem.weight": torch.zeros(3), "head.weight": torch.zeros(2)}, file)
    told = _refused(file, tmp_path / "model")
    assert "--model takes the run's folder" in told


def test_renamed_keys_are_named(tmp_path: Path) -> None:
    file = _saved(tmp_path / "thin.pth", _thin(conv3="third"))
    told = _refused(file, tmp_path / "model")
    assert "missing backbone.group2.0.weight [64, 32, 3, 3]" in told
    assert "unexpected third.0.weight [64, 32, 3, 3]" in told


def test_a_key_that_is_left_over_is_named(tmp_path: Path) -> None:
    file = _saved(tmp_path / "thin.pth", {**_thin(), "extra.bias": torch.zeros(4)})
    assert "unexpected extra.bias [4]" in _refused(file, tmp_path / "model")


def test_ages_that_no_file_tells_are_asked_for(tmp_path: Path) -> None:
    state = {name: torch.zeros(shape) for name, shape in _ODD.items()}
    state["backbone.input_layer.0.weight"] = torch.zeros(64, 3, 3, 3)
    file = _saved(tmp_path / "odd.pt", state)
    told = _refused(file, tmp_path / "model")
    assert "age layer has 7 ages" in told
    assert "--ages" in told
    told = _refused(file, tmp_path / "model", ages="0-100")
    assert "7 ages, and --ages 0-100 names 101" in told
    listed = tmp_path / "list.csv"
    listed.write_text("filename,years\na.jpg,3\n", encoding="utf-8")
    assert "no list with a column age" in _refused(file, tmp_path / "model", ages=str(listed))


def test_another_number_of_ages_in_the_label_distribution_system(tmp_path: Path) -> None:
    state = {**_thin(), "fc.0.weight": torch.zeros(70, 256), "fc.0.bias": torch.zeros(70)}
    assert "70 ages" in _refused(_saved(tmp_path / "a.pth", state), tmp_path / "model")


@pytest.mark.parametrize("arch", ["bninception", "polynet", "squeezenet1_0"])
def test_a_network_that_is_nowhere_is_named(arch: str, tmp_path: Path) -> None:
    weights = {"features.0.weight": torch.zeros(3), "last_conv.weight": torch.zeros(3)}
    file = _saved(tmp_path / "a.pth", {"arch": arch, "state_dict": weights})
    assert f"cannot run {arch}" in _refused(file, tmp_path / "model")


def test_what_means_nothing_for_a_layout_is_refused(tmp_path: Path) -> None:
    file = _saved(tmp_path / "thin.pth", _thin())
    told = _refused(file, tmp_path / "model", threshold=0.4)
    assert "--threshold means nothing" in told
    assert "it takes --ages, --size, --arch" in told
    assert "--task means nothing" in _refused(file, tmp_path / "model", task="embedding")


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    state = {**_thin(), "fc.0.bias": torch.full((101,), torch.nan)}
    told = _refused(_saved(tmp_path / "a.pth", state), tmp_path / "model")
    assert "not finite in fc.0.bias" in told


def test_a_network_of_a_library_has_to_be_named(tmp_path: Path) -> None:
    file = _saved(tmp_path / "mine.pth", resnet34(num_classes=1).state_dict())
    assert "--arch" in _refused(file, tmp_path / "model", layout="torchvision")
    with pytest.raises(UnknownNameError, match="resnet34"):
        import_model(file, tmp_path / "model", layout="torchvision", arch="resnet33")


def test_a_network_of_a_library_without_a_last_layer(tmp_path: Path) -> None:
    state = {key: value for key, value in resnet34().state_dict().items() if "fc." not in key}
    file = _saved(tmp_path / "body.pth", state)
    told = _refused(file, tmp_path / "model", layout="torchvision", arch="resnet34")
    assert "no last layer (fc.weight, fc.bias)" in told
    thin = _saved(tmp_path / "thin.pth", _thin())
    told = _refused(thin, tmp_path / "model", layout="torchvision", arch="resnet34")
    assert "looks like one of the label-distribution system" in told


def test_a_vit_without_its_description(tmp_path: Path) -> None:
    state = {
        "vit.embeddings.cls_token": torch.zeros(1, 1, 4),
        "classifier.weight": torch.ones(3, 4),
    }
    file = _saved(tmp_path / "pytorch_model.bin", state)
    assert "config.json is not beside it" in _refused(file, tmp_path / "model")
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 4}), encoding="utf-8")
    assert "config.json beside it is no ViT's" in _refused(file, tmp_path / "model")
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert "config.json: cannot be read as JSON" in _refused(file, tmp_path / "model")


def test_other_kinds_of_files_and_outputs(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("no weights", encoding="utf-8")
    assert "trained files are" in _refused(text, tmp_path / "model")
    for absent in (tmp_path / "absent.pt", tmp_path / "absent.h5"):
        told = _refused(absent, tmp_path / "model")
        assert told == f"{absent}: no such file; check the name and the folder you are in"
    with pytest.raises(UnknownNameError, match="mivolo"):
        import_model(text, tmp_path / "model", layout="mivollo")
    with pytest.raises(UnknownNameError, match="arcface-112"):
        import_model(text, tmp_path / "model", template="arcface")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "card.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="holds a model already"):
        import_model(text, taken)


def test_the_age_branch_alone_embeds_nobody(tmp_path: Path) -> None:
    state = {"backbone.conv1.weight": torch.zeros(4), "age_estimator.weight": torch.zeros(8, 4)}
    file = _saved(tmp_path / "a.pth", state)
    told = _refused(file, tmp_path / "model", task="embedding")
    assert "tells no people apart" in told
