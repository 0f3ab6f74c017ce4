"""ENTRYPOINT and CMD, environment and labels: what the image adds."""

import pytest

from pyctr.engine.containers.create import check_platform, parse_wanted, with_tag
from pyctr.engine.options import parse_request
from pyctr.engine.options.merge import merge_image, split_command
from pyctr.errors import InvalidArgument, NotFound

E, C = ["entry", "e1"], ["cmd", "c1"]


@pytest.mark.parametrize(
    ("command", "entrypoint", "image", "words"),
    [
        ([], None, {"Entrypoint": E, "Cmd": C}, [*E, *C]),
        (["x"], None, {"Entrypoint": E, "Cmd": C}, [*E, "x"]),
        ([], "new", {"Entrypoint": E, "Cmd": C}, ["new"]),
        (["x"], "new", {"Entrypoint": E, "Cmd": C}, ["new", "x"]),
        (["x"], "", {"Entrypoint": E, "Cmd": C}, ["x"]),
        ([], None, {"Cmd": C}, C),
        (["x"], None, {"Cmd": C}, ["x"]),
        ([], None, {"Entrypoint": E}, E),
    ],
)
def test_split_command_combines_as_docker_does(command, entrypoint, image, words):
    options = {} if entrypoint is None else {"entrypoint": entrypoint}
    config = parse_request("img", command, options).config
    merge_image(config, image)
    path, args = split_command(config)
    assert [path, *args] == words


@pytest.mark.parametrize("options", [{}, {"entrypoint": ""}])
def test_split_command_without_any_word_is_refused(options):
    config = parse_request("img", [], options).config
    merge_image(config, {"Cmd": C} if options else {})
    with pytest.raises(InvalidArgument, match="no command specified"):
        split_command(config)


def test_merge_image_fills_only_what_was_not_given():
    config = parse_request("img", ["x"], {"env": ["A=1"], "label": ["a=1"], "user": "5", "expose": ["1"]}).config
    image = {
        "Env": ["A=0", "B=2"],
        "Labels": {"a": "0", "b": "2"},
        "User": "9",
        "WorkingDir": "/w",
        "ExposedPorts": {"2/tcp": {}},
        "Volumes": {"/v": {}},
        "StopSignal": "INT",
        "Healthcheck": {"Test": ["CMD", "x"], "Retries": 3},
    }
    merge_image(config, image)
    assert config["Env"] == ["A=1", "B=2"]
    assert config["Labels"] == {"a": "1", "b": "2"}
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("5", "/w", "INT")
    assert config["ExposedPorts"] == {"1/tcp": {}, "2/tcp": {}}
    assert config["Volumes"] == {"/v": {}}
    assert config["Healthcheck"] == {"Test": ["CMD", "x"], "Retries": 3}


@pytest.mark.parametrize(
    ("image", "shown"),
    [("a", "a:latest"), ("a:1", "a:1"), ("h:5000/a", "h:5000/a:latest"), ("a@sha256:0", "a@sha256:0")],
)
def test_with_tag(image, shown):
    assert with_tag(image) == shown


@pytest.mark.parametrize("wanted", ["", "linux", "linux/amd64", "amd64", "linux/x86_64", "LINUX/AMD64"])
def test_check_platform_takes_the_images_own(wanted):
    check_platform("img", parse_wanted(wanted), {"os": "linux", "architecture": "amd64"})


@pytest.mark.parametrize("wanted", ["linux/arm64", "windows", "linux/amd64/v3"])
def test_check_platform_refuses_another(wanted):
    with pytest.raises(NotFound, match="does not match the specified platform"):
        check_platform("img", parse_wanted(wanted), {"os": "linux", "architecture": "amd64"})


def test_check_platform_refuses_nonsense():
    with pytest.raises(InvalidArgument, match="error parsing specified platform"):
        parse_wanted("a/b/c/d")
