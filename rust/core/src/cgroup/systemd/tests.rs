//! The D-Bus client against a real dbus-daemon, with a systemd that only answers.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::bus::{Bus, parse_version};
use super::*;

/// A bus of our own; killed and its directory removed in the end.
struct Daemon {
    child: Child,
    directory: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("bus");
        let configuration = directory.path().join("bus.conf");
        std::fs::write(
            &configuration,
            format!(
                "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
                 <policy context='default'><allow user='*'/><allow own='*'/><allow send_type='method_call'/>\
                 <allow send_type='signal'/><allow send_requested_reply='true' send_type='method_return'/>\
                 <allow send_requested_reply='true' send_type='error'/><allow receive_type='*'/></policy></busconfig>",
                socket.display()
            ),
        )
        .unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg("--nofork").arg(format!("--config-file={}", configuration.display()));
        let Ok(child) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            println!("skipped: dbus-daemon is not installed");
            return None;
        };
        let daemon = Self { child, directory };
        let deadline = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "dbus-daemon does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(daemon)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("bus")
    }

    fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A second client, written apart from the one under test, byte by byte: what it says of the messages it gets is checked.
struct Mock {
    stream: UnixStream,
    serial: u32,
}

/// The little of a call the mock looks at.
#[derive(Debug)]
struct Incoming {
    serial: u32,
    member: String,
    sender: String,
    body: Vec<u8>,
}

impl Mock {
    fn connect(socket: &Path) -> Self {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // The digits of a number are 3 and themselves in ASCII.
        let uid: String =
            rustix::process::geteuid().as_raw().to_string().chars().flat_map(|digit| ['3', digit]).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes()).unwrap();
        let mut answer = [0_u8; 512];
        let count = stream.read(&mut answer).unwrap();
        assert!(answer[..count].starts_with(b"OK "));
        stream.write_all(b"BEGIN\r\n").unwrap();
        let mut mock = Self { stream, serial: 0 };
        mock.send(
            1,
            &[(1, b'o', "/org/freedesktop/DBus"), (6, b's', "org.freedesktop.DBus"), (3, b's', "Hello")],
            None,
            "",
            &[],
        );
        let mut name = text("org.freedesktop.systemd1");
        name.extend([0; 4][..(4 - name.len() % 4) % 4].iter());
        name.extend(0_u32.to_le_bytes());
        let request = [(1, b'o', "/org/freedesktop/DBus"), (6, b's', "org.freedesktop.DBus"), (3, b's', "RequestName")];
        mock.send(1, &request, None, "su", &name);
        mock
    }

    /// Sends a message: type, header fields, the call it answers, the body's types, the body.
    fn send(&mut self, kind: u8, fields: &[(u8, u8, &str)], reply_to: Option<u32>, signature: &str, body: &[u8]) {
        let mut header = Vec::new();
        let pad = |bytes: &mut Vec<u8>, to: usize| {
            while !bytes.len().is_multiple_of(to) {
                bytes.push(0);
            }
        };
        for (code, sort, value) in fields {
            pad(&mut header, 8);
            header.extend([*code, 1, *sort, 0]);
            header.extend(text(value));
        }
        if let Some(serial) = reply_to {
            pad(&mut header, 8);
            header.extend([5, 1, b'u', 0]);
            header.extend(serial.to_le_bytes());
        }
        if !signature.is_empty() {
            pad(&mut header, 8);
            header.extend([8, 1, b'g', 0, u8::try_from(signature.len()).unwrap()]);
            header.extend(signature.bytes().chain([0]));
        }
        self.serial += 1;
        let mut message = vec![b'l', kind, 0, 1];
        for number in [body.len(), self.serial as usize, header.len()] {
            message.extend(u32::try_from(number).unwrap().to_le_bytes());
        }
        message.extend(&header);
        pad(&mut message, 8);
        message.extend(body);
        self.stream.write_all(&message).unwrap();
    }

    /// The next method call; None when the bus is gone.
    fn receive(&mut self) -> Option<Incoming> {
        loop {
            let mut fixed = [0_u8; 16];
            self.stream.read_exact(&mut fixed).ok()?;
            let number = |at: usize| u32::from_le_bytes(fixed[at..at + 4].try_into().unwrap()) as usize;
            let mut rest = vec![0_u8; number(12).next_multiple_of(8) + number(4)];
            self.stream.read_exact(&mut rest).ok()?;
            let header = &rest[..number(12)];
            let field = |code: u8| {
                let mut at = 0;
                while at + 4 <= header.len() {
                    let (this, sort) = (header[at], header[at + 2]);
                    let (start, length) = match sort {
                        b'g' => (at + 5, usize::from(header[at + 4])),
                        b'u' => (at + 8, 0),
                        _ => (at + 8, u32::from_le_bytes(header[at + 4..at + 8].try_into().unwrap()) as usize),
                    };
                    if this == code {
                        return String::from_utf8(header[start..start + length].to_vec()).unwrap();
                    }
                    at = (start + length + usize::from(sort != b'u')).next_multiple_of(8);
                }
                String::new()
            };
            if fixed[1] == 1 {
                let body = rest[number(12).next_multiple_of(8)..].to_vec();
                let serial = u32::try_from(number(8)).unwrap();
                return Some(Incoming { serial, member: field(3), sender: field(7), body });
            }
        }
    }

    fn reply(&mut self, call: &Incoming, signature: &str, body: &[u8]) {
        self.send(2, &[(6, b's', &call.sender)], Some(call.serial), signature, body);
    }

    fn refuse(&mut self, call: &Incoming, name: &str) {
        let reason = text("as the test wants it");
        self.send(3, &[(6, b's', &call.sender), (4, b's', name)], Some(call.serial), "s", &reason);
    }

    fn job_removed(&mut self, job: &str, result: &str) {
        let mut body = 7_u32.to_le_bytes().to_vec();
        for part in [job, "x.scope", result] {
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend(text(part));
        }
        let path = (1, b'o', "/org/freedesktop/systemd1");
        self.send(
            4,
            &[path, (2, b's', "org.freedesktop.systemd1.Manager"), (3, b's', "JobRemoved")],
            None,
            "uoss",
            &body,
        );
    }
}

/// A marshalled string.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(text.bytes().chain([0]));
    bytes
}

/// Serves until the client is gone: what it was called with, in order.
fn serve(
    mut mock: Mock,
    calls: usize,
    job_result: &'static str,
    exists_once: bool,
) -> std::thread::JoinHandle<Vec<Incoming>> {
    std::thread::spawn(move || {
        let mut seen: Vec<Incoming> = Vec::new();
        let mut refused = !exists_once;
        while seen.len() < calls {
            let Some(call) = mock.receive() else { break };
            match call.member.as_str() {
                "Get" => {
                    let mut body = vec![1, b's', 0, 0];
                    body.extend(text("252.38-1~deb12u1"));
                    mock.reply(&call, "v", &body);
                }
                "StartTransientUnit" if !refused => {
                    refused = true;
                    mock.refuse(&call, "org.freedesktop.systemd1.UnitExists");
                }
                "StartTransientUnit" | "StopUnit" => {
                    // The signal may well come before the answer, and others' jobs end too.
                    mock.job_removed("/org/freedesktop/systemd1/job/1", "failed");
                    mock.job_removed("/org/freedesktop/systemd1/job/99", job_result);
                    mock.reply(&call, "o", &text("/org/freedesktop/systemd1/job/99"));
                }
                "ResetFailedUnit" => mock.refuse(&call, "org.freedesktop.systemd1.NoSuchUnit"),
                _ => mock.reply(&call, "", &[]),
            }
            seen.push(call);
        }
        seen
    })
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn test_parse_version_of_each_form() {
    assert_eq!(parse_version("v245.4-1.fc32"), Some(245));
    assert_eq!(parse_version("\"252\""), Some(252));
    assert_eq!(parse_version("252.38-1~deb12u1"), Some(252));
    assert_eq!(parse_version("next"), None);
}

#[test]
fn test_scope_start_asks_for_a_unit_with_a_waiting_process_and_limits() {
    let Some(daemon) = Daemon::start() else { return };
    let server = serve(Mock::connect(&daemon.socket()), 3, "done", false);
    let mut bus = Bus::connect_to(&daemon.address()).unwrap();
    let scope = Scope::named("pyctr-abc.scope", "machine.slice", false);
    let resources =
        serde_json::from_value(serde_json::json!({"memory": {"limit": 4096}, "pids": {"limit": 9}})).unwrap();
    scope.start_on(&mut bus, true, &resources).unwrap();
    let pid = scope.placeholder().unwrap();
    crate::sys::processes::kill(pid, 0).unwrap();
    let calls = server.join().unwrap();
    let members: Vec<&str> = calls.iter().map(|call| call.member.as_str()).collect();
    assert_eq!(members, ["Get", "Subscribe", "StartTransientUnit"]);
    let body = &calls[2].body;
    for part in ["pyctr-abc.scope", "replace", "machine.slice", "Delegate", "MemoryMax", "TasksMax", "DevicePolicy"] {
        assert!(contains(body, &text(part)), "{part}");
    }
    // PIDs is an array of numbers: its length, then the placeholder's.
    let mut pids = 4_u32.to_le_bytes().to_vec();
    pids.extend(pid.cast_unsigned().to_le_bytes());
    assert!(contains(body, &pids));
    scope.release();
    assert!(crate::sys::processes::kill(pid, 0).is_err());
}

#[test]
fn test_scope_start_that_fails_lets_the_waiting_process_go() {
    let Some(daemon) = Daemon::start() else { return };
    let server = serve(Mock::connect(&daemon.socket()), 4, "failed", false);
    let mut bus = Bus::connect_to(&daemon.address()).unwrap();
    let scope = Scope::named("pyctr-abc.scope", "system.slice", false);
    let error = scope.start_on(&mut bus, false, &LinuxResources::default()).unwrap_err();
    assert_eq!(error.to_string(), "start systemd unit pyctr-abc.scope: the job's result is failed");
    assert_eq!(scope.placeholder(), None);
    drop(bus);
    assert_eq!(server.join().unwrap().last().unwrap().member, "ResetFailedUnit");
}

#[test]
fn test_bus_start_of_a_unit_left_over_clears_it_and_tries_again() {
    let Some(daemon) = Daemon::start() else { return };
    let server = serve(Mock::connect(&daemon.socket()), 4, "done", true);
    Bus::connect_to(&daemon.address()).unwrap().start_transient_unit("x.scope", &[]).unwrap();
    let members: Vec<String> = server.join().unwrap().into_iter().map(|call| call.member).collect();
    assert_eq!(members, ["Subscribe", "StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]);
}

#[test]
fn test_bus_stop_and_properties_reach_the_manager() {
    let Some(daemon) = Daemon::start() else { return };
    let server = serve(Mock::connect(&daemon.socket()), 4, "done", false);
    let mut bus = Bus::connect_to(&daemon.address()).unwrap();
    bus.set_unit_properties("x.scope", &[("TasksMax", message::Value::U64(5))]).unwrap();
    bus.stop_unit("x.scope").unwrap();
    let calls = server.join().unwrap();
    assert_eq!(calls[0].member, "SetUnitProperties");
    // Name, padding, runtime = true.
    assert!(contains(&calls[0].body, b"x.scope\x00\x01\x00\x00\x00"));
    assert_eq!(calls[2].member, "StopUnit");
}

#[test]
fn test_bus_connect_where_nobody_listens_names_the_address() {
    let error = Bus::connect_to("unix:path=/nonexistent/bus").unwrap_err();
    assert!(error.to_string().contains("/nonexistent/bus"), "{error}");
    assert!(Bus::connect_to("tcp:host=localhost").is_err());
}

#[test]
fn test_bus_without_systemd_says_so() {
    let Some(daemon) = Daemon::start() else { return };
    let mut bus = Bus::connect_to(&daemon.address()).unwrap();
    let error = bus.manager_property("Version").unwrap_err();
    assert!(error.to_string().contains("org.freedesktop.systemd1"), "{error}");
}

/// Needs a host whose init is systemd, and root.
#[test]
fn test_scope_of_a_real_systemd_lives_and_ends_with_its_container() {
    let host = Hierarchies::detect().unwrap();
    if !host.has_systemd() || !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root and systemd");
    }
    let resources: LinuxResources = serde_json::from_value(serde_json::json!({
        "memory": {"limit": 64 << 20, "swap": 64 << 20}, "pids": {"limit": 40}, "cpu": {"shares": 512, "quota": 25_000, "cpus": "0"},
        "devices": [{"allow": false, "access": "rwm"}]
    }))
    .unwrap();
    let name = format!("pyctr-test.slice:pyctr:{}", std::process::id());
    let cgroup = Cgroup::create(&host, crate::cgroup::Driver::Systemd, &name, Some(&resources), false).unwrap();
    let directory = cgroup.paths().into_values().next_back().unwrap();
    let expected = format!("pyctr.slice/pyctr-test.slice/pyctr-{}.scope", std::process::id());
    assert!(directory.ends_with(&expected), "{}", directory.display());
    assert_eq!(cgroup.pids().unwrap(), [0_i32; 0]);
    let controller = |v1: &str, v2: &str| {
        let paths = cgroup.paths();
        let path = paths.get(v1.split('.').next().unwrap()).map(|path| path.join(v1));
        std::fs::read_to_string(path.unwrap_or_else(|| directory.join(v2))).unwrap().trim().to_owned()
    };
    assert_eq!(controller("memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert_eq!(controller("pids.max", "pids.max"), "40");

    let mut script = String::new();
    for path in cgroup.paths().values().filter(|path| path.exists()) {
        script.extend(["echo 0 >", path.to_str().unwrap(), "/cgroup.procs || exit 99\n"]);
    }
    script.push_str("dd if=/dev/kmsg of=/dev/null bs=8k count=1 && exit 98\nexec sleep 600");
    let mut child = Command::new("sh").arg("-c").arg(script).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while cgroup.pids().unwrap().is_empty() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    cgroup.settled();
    // What systemd was not told it would take back at its next reload.
    let update =
        serde_json::from_value(serde_json::json!({"memory": {"limit": 32 << 20}, "pids": {"limit": 30}})).unwrap();
    let paths = cgroup.paths();
    Cgroup::open(&host, &paths).unwrap().update(&update).unwrap();
    let mut bus = Bus::connect(false).unwrap();
    bus.reload().unwrap();
    assert_eq!(controller("memory.limit_in_bytes", "memory.max"), (32 << 20).to_string());
    assert_eq!(controller("pids.max", "pids.max"), "30");
    cgroup.freeze().unwrap();
    cgroup.thaw().unwrap();
    assert!(child.try_wait().unwrap().is_none());
    cgroup.kill_all(libc::SIGKILL).unwrap();
    child.wait().unwrap();
    cgroup.remove().unwrap();
    assert!(paths.values().all(|path| !path.exists()));

    // A limit that is refused leaves no scope.
    let refused = serde_json::from_value(serde_json::json!({"cpu": {"cpus": "9999"}})).unwrap();
    Cgroup::create(&host, crate::cgroup::Driver::Systemd, &name, Some(&refused), false).unwrap_err();
    assert!(paths.values().all(|path| !path.exists()));
}
