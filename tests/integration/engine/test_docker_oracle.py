"""Our record and our runtime-spec against those of a real dockerd for the same flags (differences: docs/compat.md).

dockerd gets a runtime that keeps the config.json it is handed and fails.
"""

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from pyctr.engine.containers.create import default_hostname, resolve_joined
from pyctr.engine.host import gather
from pyctr.engine.options import parse_request
from pyctr.engine.options.limits import verify
from pyctr.engine.options.merge import merge_image, split_command
from pyctr.engine.spec.plan import Joined, plan_spec
from pyctr.engine.volumes.points import plan_mount_points
from pyctr.errors import InvalidArgument
from tests.peers import running_dockerd

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="dockerd needs root"),
    pytest.mark.skipif(not (shutil.which("dockerd") and shutil.which("docker")), reason="docker is not installed"),
]

RUNTIME = """#!/bin/sh
while [ $# -gt 0 ]; do
  [ "$1" = --bundle ] && cp "$2/config.json" {directory}/spec.json
  shift
done
exit 1
"""


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runtime")
    runtime = directory / "runtime"
    runtime.write_text(RUNTIME.format(directory=directory))
    runtime.chmod(0o755)
    with running_dockerd("--add-runtime", f"keep={runtime}") as peer:
        archive = directory / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(__file__, "file")
        changes = ["ENV A=1 B=2", 'CMD ["sh", "-l"]', "LABEL from=image", "EXPOSE 80", "VOLUME /image"]
        peer("import", *(word for change in changes for word in ("-c", change)), str(archive), "img")
        peer.kept_spec = directory / "spec.json"
        yield peer


def to_argv(options):
    words = []
    for key, value in options.items():
        flag = "--" + key.replace("_", "-")
        if value is True:
            words.append(flag)
        else:
            words += [f"{flag}={text}" for text in (value if isinstance(value, list) else [value])]
    return words


IMAGE = {
    "Env": ["A=1", "B=2"],
    "Cmd": ["sh", "-l"],
    "Labels": {"from": "image"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/image": {}},
}

NET = {"network": "none"}
CASES = {
    "plain": {},
    "terminal": {"tty": True, "interactive": True},
    "environment": {"env": ["A=9", "X=", "TERM=dumb", "PATH=/x", "HOSTNAME=y"], "label": ["q=r", "bare"]},
    "names": {"hostname": "box", "domainname": "dom", "user": "5:6", "workdir": "/a/../b", "group_add": ["7", "8"]},
    "entrypoint": {"entrypoint": "/bin/x"},
    "memory": {"memory": "64m", "memory_reservation": "32m", "memory_swappiness": "5", "oom_score_adj": "7"},
    "swap": {"memory": "64m", "memory_swap": "100m"},
    "swap-unlimited": {"memory": "1.5g", "memory_swap": "-1", "oom_kill_disable": True},
    "cpu": {"cpus": "0.5", "cpu_shares": "512", "cpuset_cpus": "0", "cpuset_mems": "0", "pids_limit": "50"},
    "quota": {"cpu_period": "50000", "cpu_quota": "20000", "pids_limit": "-1"},
    "block": {"device_read_bps": ["{block}:1mb"], "device_write_iops": ["{block}:10"]},
    "capabilities": {"cap_add": ["net_admin", "CAP_SYS_TIME"], "cap_drop": ["chown", "MKNOD"]},
    "drop-all": {"cap_drop": ["ALL"], "cap_add": ["chown"]},
    "drop-everything": {"cap_drop": ["all"]},
    "devices": {"device": ["/dev/zero:/dev/x:r", "/dev/full"], "device_cgroup_rule": ["c 7:* rmw", "a *:* r"]},
    "device-directory": {"device": ["/dev/net"]},
    "privileged": {"privileged": True},
    "privileged-readonly": {"privileged": True, "read_only": True},
    "readonly": {"read_only": True, "tmpfs": ["/run", "/u:size=1k,rw,exec,mode=700"]},
    "volumes": {"volume": ["/usr:/b:ro", "/usr:/a/b/c", "vol1:/v1", "vol1:/v2:ro,nocopy", "/anon", "/usr:/etc/hosts"]},
    "mounts": {
        "mount": [
            "type=bind,src=/usr,dst=/mb,readonly",
            "type=bind,src=/usr,dst=/mn,bind-recursive=disabled",
            "type=volume,dst=/mv",
            "type=volume,src=vol1,dst=/vm,readonly",
            "type=tmpfs,dst=/mt,tmpfs-size=1m,tmpfs-mode=700",
            "type=tmpfs,dst=/mr,readonly",
        ]
    },
    "shm": {"shm_size": "1m"},
    "shm-mounted-over": {"volume": ["/usr:/dev/shm"], "read_only": True},
    "dev-mounted-over": {"volume": ["/usr:/dev"]},
    "ipc-host": {"ipc": "host"},
    "ipc-none": {"ipc": "none"},
    "pid-host": {"pid": "host"},
    "uts-host": {"uts": "host"},
    "network-host": {"network": "host"},
    "cgroupns": {"cgroupns": "private"},
    "userns-host": {"userns": "host"},
    "security": {"security_opt": ["no-new-privileges", "seccomp=unconfined", "label=disable"]},
    "systempaths": {"security_opt": ["systempaths=unconfined", "no-new-privileges=true"]},
    "sysctl": {"sysctl": ["net.ipv4.ip_unprivileged_port_start=5", "kernel.msgmax=100", "net.ipv4.ip_forward=1"]},
    "ulimit": {"ulimit": ["nproc=50", "core=0:5", "nofile=64:65"]},
    "parent": {"cgroup_parent": "/some/where"},
    "restart": {"restart": "on-failure:3", "stop_signal": "9", "stop_timeout": "3", "init": True},
    "health": {"health_cmd": "true", "health_interval": "1m30s", "health_retries": "3", "health_timeout": "1.5s"},
    "names-servers": {"dns": ["1.1.1.1"], "dns_search": ["."], "dns_option": ["ndots:1"], "add_host": ["a:1.2.3.4"]},
    "log": {"log_opt": ["max-size=10m", "max-file=3"]},
    "log-none": {"log_driver": "none"},
    "expose": {"expose": ["90-91/udp", "80"]},
    "attach": {"attach": ["stdout"], "interactive": True},
}


def block_device():
    for name in sorted(os.listdir("/sys/block")) if os.path.isdir("/sys/block") else []:
        if os.path.exists("/dev/" + name):
            return "/dev/" + name
    return None


@pytest.fixture(params=sorted(CASES))
def options(request):
    options = {**NET, **CASES[request.param]}
    block = block_device()
    if "{block}" in str(options) and block is None:
        pytest.skip("no block device here")
    return json.loads(json.dumps(options).replace("{block}", str(block)))


def ours(options, container_id, directory, volume_root):
    """Record and spec as `create` and `start` would plan them, under Docker's id."""
    request = parse_request("img", ["cmd", "arg"], options)
    config, host = request.config, request.host_config
    merge_image(config, IMAGE)
    facts = gather(host)
    warnings = verify(host, facts)
    resolve_joined(None, host)
    path, args = split_command(config)
    config["Hostname"] = config["Hostname"] or default_hostname(host, container_id)
    mounts = plan_mount_points(config, host, [])
    for mount in mounts:
        if mount["Type"] == "volume":
            mount["Name"] = mount["Name"] or "ANONYMOUS"
            mount["Source"] = f"{volume_root}/{mount['Name']}/_data"
    record = {"Id": container_id, "Path": path, "Args": args, "Config": config, "HostConfig": host, "Mounts": mounts}
    return record, plan_spec(record, facts, Joined(), container_dir=directory), warnings


def anonymous(mount):
    """A generated volume name made equal."""
    name = mount.get("Name", "")
    if len(name) == 64:
        return json.loads(json.dumps(mount).replace(name, "ANONYMOUS"))
    return mount


#: Fields that differ on purpose (docs/compat.md, "The record").
HOST_CONFIG_DIFFERS = {"Runtime", "MaskedPaths", "ReadonlyPaths", "KernelMemoryTCP", "Ulimits"}


def test_record_is_what_docker_inspect_shows(docker, options):
    container_id = docker("create", *to_argv(options), "img", "cmd", "arg").strip()
    (theirs,) = json.loads(docker("inspect", container_id))
    record, _, _ = ours(options, container_id, "", str(Path(docker.directory, "data/volumes")))
    assert (record["Path"], record["Args"]) == (theirs["Path"], theirs["Args"])
    config = {key: value for key, value in theirs["Config"].items() if key not in ("MacAddress", "NetworkDisabled")}
    for side in (record["Config"], config):
        side["Env"] = sorted(side["Env"])  # dockerd's own order changes from one create to the next
    assert record["Config"] == config
    expected = {key: value for key, value in theirs["HostConfig"].items() if key not in HOST_CONFIG_DIFFERS}
    for mount in expected.get("Mounts", []):
        mount.pop("Consistency", None)
    got = {key: value for key, value in record["HostConfig"].items() if key not in HOST_CONFIG_DIFFERS}
    for side in (got, expected):
        side["Binds"] = sorted(side["Binds"] or [])  # a Go map's order in Docker's client
    assert got == expected
    asked = {tuple(sorted(limit.items())) for limit in record["HostConfig"]["Ulimits"]}
    assert asked <= {tuple(sorted(limit.items())) for limit in theirs["HostConfig"]["Ulimits"]}
    by_target = lambda mount: mount["Destination"]  # noqa: E731
    assert sorted(record["Mounts"], key=by_target) == sorted(map(anonymous, theirs["Mounts"]), key=by_target)


def normal_spec(spec, container_id):
    """A spec with what differs on purpose made equal (docs/compat.md, "The runtime-spec")."""
    text = json.dumps(spec).replace(container_id, "ID")
    spec = json.loads(text)
    for key in ("ociVersion", "hooks", "annotations"):
        spec.pop(key, None)
    process, linux = spec["process"], spec["linux"]
    process.pop("user")
    process.pop("rlimits", None)
    process["env"] = sorted(process["env"])  # see test_record_…: the order of the record's own varies
    process["terminal"] = process.get("terminal", False)
    process["noNewPrivileges"] = process.get("noNewPrivileges", False)
    process["capabilities"] = sorted(process["capabilities"].get("bounding", []))
    spec["root"] = {"readonly": spec["root"].get("readonly", False)}
    linux.pop("seccomp", None)
    for key in ("maskedPaths", "readonlyPaths"):
        linux[key] = bool(linux.get(key))
    if "kernel.domainname" in linux.get("sysctl", {}):
        spec["domainname"] = linux["sysctl"].pop("kernel.domainname")
    linux["sysctl"] = linux.get("sysctl", {})
    linux["devices"] = sorted(linux.get("devices", []), key=lambda device: device["path"])
    own = [namespace for namespace in linux["namespaces"] if not namespace.get("path", "").endswith("/netns/default")]
    linux["namespaces"] = sorted(own, key=lambda namespace: namespace["type"])
    linux["cgroupsPath"] = "/" + linux["cgroupsPath"].replace("/docker/", "/pyctr/").lstrip("/")
    resources = linux["resources"]
    resources["memory"] = {k: v for k, v in resources.get("memory", {}).items() if v not in (False, -1)}
    for name in ("cpu", "blockIO", "memory", "pids"):
        resources[name] = {key: value for key, value in resources.get(name, {}).items() if value}
    spec["mounts"] = sorted((normal_mount(mount) for mount in spec["mounts"]), key=lambda mount: mount["destination"])
    return spec


def normal_mount(mount):
    same = {"rro": "ro", "size=1048576": "size=1m"}
    options = sorted(same.get(option, option) for option in mount["options"] if option != "rprivate")
    source = mount["source"]
    if mount["destination"] in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf") and "ID" in source:
        source = os.path.basename(source)
    parts = source.split("/")
    if "volumes" in parts and len(parts[-2]) == 64:
        parts[-2] = "ANONYMOUS"
    return {**mount, "options": options, "source": "/".join(parts)}


def test_spec_is_what_dockerd_hands_its_runtime(docker, options):
    kept = docker.kept_spec
    kept.unlink(missing_ok=True)
    container_id = docker("create", "--runtime=keep", *to_argv(options), "img", "cmd", "arg").strip()
    docker.run("start", container_id)
    assert kept.exists(), "dockerd did not call its runtime"
    theirs = normal_spec(json.loads(kept.read_text()), container_id)
    directory = f"/x/{container_id}"
    _, spec, _ = ours(options, container_id, directory, str(Path(docker.directory, "data/volumes")))
    spec = normal_spec(spec, container_id)
    if options.get("init"):  # Docker binds its reaper in; here the monitor's request says so
        theirs["mounts"] = [mount for mount in theirs["mounts"] if mount["destination"] != "/sbin/docker-init"]
        theirs["process"]["args"] = theirs["process"]["args"][-len(spec["process"]["args"]) :]
    if options.get(
        "privileged"
    ):  # dockerd 20.10 does not know the capabilities of kernels after it, nor ours denied ones
        for side in (theirs, spec):
            side["process"].pop("capabilities")
    assert spec == theirs


REFUSALS = [
    {"memory": "5m"},
    {"memory": "1x"},
    {"memory": "-5"},
    {"memory_swap": "100m"},
    {"memory": "100m", "memory_swap": "50m"},
    {"memory": "100m", "memory_reservation": "200m"},
    {"memory_reservation": "1m"},
    {"kernel_memory": "1m"},
    {"cpus": "1000"},
    {"cpus": "abc"},
    {"cpus": "1", "cpu_period": "1000"},
    {"cpus": "1", "cpu_quota": "1000"},
    {"cpu_period": "100"},
    {"cpu_quota": "100"},
    {"cpuset_cpus": "0-999"},
    {"cpuset_cpus": "abc"},
    {"cpuset_mems": "99"},
    {"cpuset_mems": "x"},
    {"pids_limit": "abc"},
    {"blkio_weight": "70000"},
    {"blkio_weight_device": ["/dev/x"]},
    {"blkio_weight_device": ["/dev/x:5"]},
    {"device_read_bps": ["/dev/x:-1"]},
    {"device_read_bps": ["x:1mb"]},
    {"device_read_iops": ["/dev/x:1k"]},
    {"memory_swappiness": "101"},
    {"memory_swappiness": "abc"},
    {"oom_score_adj": "2000"},
    {"shm_size": "x"},
    {"env": ["=x"]},
    {"env_file": ["/nope"]},
    {"label": ["=x"]},
    {"volume": [""]},
    {"volume": ["/a:b"]},
    {"volume": ["/a:/b:zzz"]},
    {"volume": ["/a:/b:ro,rw"]},
    {"volume": ["/a:/b:ro:x"]},
    {"volume": ["a/b:/c"]},
    {"volume": [":/c"]},
    {"volume": ["/x:"]},
    {"volume": ["vol:/c:shared"]},
    {"volume": ["/x:/b:nocopy"]},
    {"volume": ["x:/b:nocopy"]},
    {"tmpfs": ["x"]},
    {"tmpfs": ["/"]},
    {"tmpfs": ["/b"], "volume": ["/tmp:/b"]},
    {"mount": ["x"]},
    {"mount": [""]},
    {"mount": ["type=bind"]},
    {"mount": ["type=bind,source=rel,target=/b"]},
    {"mount": ["type=zzz,target=/b"]},
    {"mount": ["type=volume,target=b"]},
    {"mount": ["type=tmpfs,target=/b,tmpfs-size=x"]},
    {"mount": ["type=tmpfs,target=/b,tmpfs-mode=9"]},
    {"mount": ["type=tmpfs,target=/b,source=/x"]},
    {"mount": ["type=bind,source=/tmp,target=/b,bind-propagation=zz"]},
    {"mount": ["type=bind,src=/tmp,dst=/b,readonly=zz"]},
    {"mount": ["type=bind,src=/tmp,dst=/b,foo=1"]},
    {"mount": ["type=volume,src=/tmp,dst=/b"]},
    {"mount": ["type=volume,src=v,dst=/b,bind-propagation=rshared"]},
    {"mount": ["type=bind,src=/tmp,dst=/b,volume-nocopy"]},
    {"mount": ["type=bind,src=/tmp,dst=/"]},
    {"mount": ["type=bind,src=/tmp,dst=/b,bind-recursive=readonly"]},
    {"device": [""]},
    {"device": ["x"]},
    {"device": ["/dev/null:/dev/x:rwx"]},
    {"device": ["/dev/null:/dev/x:rwm:z"]},
    {"device_cgroup_rule": ["x"]},
    {"ulimit": ["nofile"]},
    {"ulimit": ["nofile=x"]},
    {"ulimit": ["zz=1"]},
    {"ulimit": ["nofile=5:3"]},
    {"ulimit": ["nofile=1:2:3"]},
    {"ulimit": ["nofile=-1:5"]},
    {"sysctl": ["x"]},
    {"sysctl": ["kernel.foo=1"]},
    {"security_opt": ["x"]},
    {"security_opt": ["seccomp=/nope"]},
    {"security_opt": ["no-new-privileges=zz"]},
    {"security_opt": ["foo=bar"]},
    {"cap_add": ["foo"]},
    {"cap_drop": [""]},
    {"restart": "x"},
    {"restart": "always:3"},
    {"restart": "on-failure:x"},
    {"restart": "on-failure:-1"},
    {"restart": ":3"},
    {"restart": "always", "rm": True},
    {"pid": "zz"},
    {"pid": "container:"},
    {"uts": "zz"},
    {"uts": "host", "hostname": "x"},
    {"userns": "zz"},
    {"cgroupns": "zz"},
    {"log_driver": "zz"},
    {"log_opt": ["foo=bar"]},
    {"log_driver": "none", "log_opt": ["max-size=1m"]},
    {"health_interval": "x"},
    {"health_cmd": "true", "health_interval": "1us"},
    {"health_cmd": "true", "health_retries": "-1"},
    {"health_timeout": "-1s"},
    {"no_healthcheck": True, "health_cmd": "x"},
    {"stop_signal": "zz"},
    {"stop_signal": "0"},
    {"stop_timeout": "x"},
    {"add_host": ["x"]},
    {"add_host": ["a:"]},
    {"add_host": ["a:1.2.3"]},
    {"dns": ["x"]},
    {"dns_search": ["a b"]},
    {"workdir": "rel"},
    {"pull": "zz"},
    {"expose": ["x"]},
    {"attach": ["zz"]},
    {"isolation": "hyperv"},
    {"storage_opt": ["size=1g"]},
]


@pytest.mark.parametrize("options", REFUSALS, ids=lambda options: " ".join(to_argv(options)))
def test_refusal_is_worded_as_docker_words_it(docker, options):
    done = docker.run("create", *to_argv({**NET, **options}), "img", "cmd", text=True)
    assert done.returncode, "docker takes it"
    theirs = done.stderr.splitlines()[0].removeprefix("Error response from daemon: ").removeprefix("docker: ")
    with pytest.raises(InvalidArgument) as caught:
        ours({**NET, **options}, "0" * 64, "/x", "/v")
    assert str(caught.value) == theirs
