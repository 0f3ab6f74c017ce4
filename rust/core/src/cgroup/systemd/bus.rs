//! A connection to the system's or the user's message bus: authentication, calls, one signal.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use super::message::{Call, ERROR, Encoder, FIXED_LENGTH, METHOD_RETURN, Message, Property, SIGNAL, message_length};
use crate::{Error, Kind, Result};

/// How long systemd may take for a job, as with runc.
const PATIENCE: Duration = Duration::from_secs(30);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const BUS: &str = "org.freedesktop.DBus";

/// An error a method call was answered with.
#[derive(Debug)]
struct Refusal {
    name: String,
    text: String,
}

/// A connection to a bus.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    address: String,
    /// Jobs that ended while another answer was awaited: path and result.
    ended_jobs: Vec<(String, String)>,
}

impl Bus {
    /// Connects to the system bus, or without root to the user's.
    pub(super) fn connect(rootless: bool) -> Result<Self> {
        Self::connect_to(&address(rootless)?)
    }

    /// Connects to a bus by its address (D-Bus Specification, "Server Addresses").
    pub(super) fn connect_to(address: &str) -> Result<Self> {
        let fail = |error: std::io::Error| {
            Error::io("connect to message bus", address, &error)
                .with_hint("the systemd driver needs a running D-Bus daemon")
        };
        let stream = open(address)?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(fail)?;
        let mut bus = Self { stream, serial: 0, address: address.to_owned(), ended_jobs: Vec::new() };
        bus.authenticate()?;
        bus.call_bus("Hello", "", &[])?;
        Ok(bus)
    }

    fn io(&self, error: &std::io::Error) -> Error {
        Error::io("talk to message bus", &self.address, error)
    }

    /// SASL EXTERNAL: the kernel tells the daemon who we are, the line only names whom we claim to be.
    fn authenticate(&mut self) -> Result<()> {
        use std::fmt::Write as _;
        let uid = rustix::process::geteuid().as_raw().to_string();
        let mut line = "\0AUTH EXTERNAL ".to_owned();
        for byte in uid.bytes() {
            let _ = write!(line, "{byte:02x}"); // a String takes all
        }
        line.push_str("\r\n");
        self.stream.write_all(line.as_bytes()).map_err(|error| self.io(&error))?;
        let mut answer = Vec::new();
        let mut byte = [0_u8];
        while !answer.ends_with(b"\r\n") && answer.len() < 4096 {
            self.stream.read_exact(&mut byte).map_err(|error| self.io(&error))?;
            answer.push(byte[0]);
        }
        if !answer.starts_with(b"OK ") {
            let text = String::from_utf8_lossy(&answer).trim().to_owned();
            return Err(Error::new(Kind::State, "authenticate with message bus", &self.address, text));
        }
        self.stream.write_all(b"BEGIN\r\n").map_err(|error| self.io(&error))
    }

    fn receive(&mut self) -> Result<Message> {
        let mut fixed = [0_u8; FIXED_LENGTH];
        self.stream.read_exact(&mut fixed).map_err(|error| self.io(&error))?;
        let mut bytes = vec![0_u8; message_length(&fixed)?];
        bytes[..FIXED_LENGTH].copy_from_slice(&fixed);
        self.stream.read_exact(&mut bytes[FIXED_LENGTH..]).map_err(|error| self.io(&error))?;
        let message = Message::decode(&bytes)?;
        if message.kind == SIGNAL && message.member == "JobRemoved" && message.signature == "uoss" {
            let mut body = message.body();
            let (_, path, _, result) = (body.u32()?, body.text()?, body.text()?, body.text()?);
            self.ended_jobs.push((path.to_owned(), result.to_owned()));
        }
        Ok(message)
    }

    fn call(&mut self, call: Call<'_>, body: &[u8]) -> Result<std::result::Result<Message, Refusal>> {
        self.serial += 1;
        let serial = self.serial;
        self.stream.write_all(&call.encode(serial, body)).map_err(|error| self.io(&error))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let message = self.receive()?;
            match (message.reply_serial == Some(serial), message.kind) {
                (true, METHOD_RETURN) => return Ok(Ok(message)),
                (true, ERROR) => {
                    let text = if message.signature.starts_with('s') {
                        message.body().text()?.to_owned()
                    } else {
                        String::new()
                    };
                    return Ok(Err(Refusal { name: message.error_name, text }));
                }
                _ => {}
            }
        }
        Err(Error::new(Kind::State, format!("call {} on message bus", call.member), &self.address, "no answer"))
    }

    fn call_bus(&mut self, member: &str, signature: &str, body: &[u8]) -> Result<()> {
        let call = Call { destination: BUS, path: "/org/freedesktop/DBus", interface: BUS, member, signature };
        self.call(call, body)?.map(drop).map_err(|refusal| failed(member, &self.address, &refusal))
    }

    fn call_manager(
        &mut self,
        member: &str,
        signature: &str,
        body: &[u8],
    ) -> Result<std::result::Result<Message, Refusal>> {
        let call = Call { destination: SYSTEMD, path: MANAGER_PATH, interface: MANAGER, member, signature };
        self.call(call, body)
    }

    /// Has systemd tell when jobs end.
    fn subscribe(&mut self) -> Result<()> {
        let mut body = Encoder::default();
        body.text(&format!("type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved'"));
        self.call_bus("AddMatch", "s", &body.into_bytes())?;
        self.call_manager("Subscribe", "", &[])?.map(drop).map_err(|refusal| failed("subscribe to", SYSTEMD, &refusal))
    }

    fn wait_for_job(&mut self, path: &str, what: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(index) = self.ended_jobs.iter().position(|(job, _)| job == path) {
                return Ok(self.ended_jobs.swap_remove(index).1);
            }
            if Instant::now() >= deadline {
                return Err(Error::new(Kind::State, "wait for systemd to", what, "it does not come about"));
            }
            self.receive()?;
        }
    }

    /// Starts a transient unit and waits until it runs. A failed unit of that name, left over, is cleared away once.
    pub(super) fn start_transient_unit(&mut self, name: &str, properties: &[Property]) -> Result<()> {
        self.subscribe()?;
        let mut body = Encoder::default();
        body.text(name);
        body.text("replace");
        body.properties(properties);
        body.no_auxiliary_units();
        let body = body.into_bytes();
        let mut answer = self.call_manager("StartTransientUnit", "ssa(sv)a(sa(sv))", &body)?;
        if answer.as_ref().is_err_and(|refusal| refusal.name.ends_with(".UnitExists")) {
            self.reset_failed_unit(name)?;
            answer = self.call_manager("StartTransientUnit", "ssa(sv)a(sa(sv))", &body)?;
        }
        let answer = answer.map_err(|refusal| failed("start systemd unit", name, &refusal))?;
        let job = answer.body().text()?.to_owned();
        let result = self.wait_for_job(&job, &format!("start {name}"))?;
        if result == "done" {
            return Ok(());
        }
        let _ = self.reset_failed_unit(name); // the job's result is the error to tell
        Err(Error::new(Kind::State, "start systemd unit", name, format!("the job's result is {result}")))
    }

    /// Stops a unit and waits until it is gone; one that is gone already is no error.
    pub(super) fn stop_unit(&mut self, name: &str) -> Result<()> {
        self.subscribe()?;
        let mut body = Encoder::default();
        body.text(name);
        body.text("replace");
        match self.call_manager("StopUnit", "ss", &body.into_bytes())? {
            Ok(answer) => {
                let job = answer.body().text()?.to_owned();
                self.wait_for_job(&job, &format!("stop {name}"))?;
            }
            Err(refusal) if refusal.name.ends_with(".NoSuchUnit") => {}
            Err(refusal) => return Err(failed("stop systemd unit", name, &refusal)),
        }
        self.reset_failed_unit(name)
    }

    /// Has systemd forget that a unit failed. It has nothing to forget of most.
    fn reset_failed_unit(&mut self, name: &str) -> Result<()> {
        let mut body = Encoder::default();
        body.text(name);
        match self.call_manager("ResetFailedUnit", "s", &body.into_bytes())? {
            Err(refusal) if !refusal.name.ends_with(".NoSuchUnit") => Err(failed("reset systemd unit", name, &refusal)),
            _ => Ok(()),
        }
    }

    /// Changes properties of a running unit, until it ends.
    pub(super) fn set_unit_properties(&mut self, name: &str, properties: &[Property]) -> Result<()> {
        let mut body = Encoder::default();
        body.text(name);
        body.u32(1); // a boolean: runtime only
        body.properties(properties);
        let answer = self.call_manager("SetUnitProperties", "sba(sv)", &body.into_bytes())?;
        answer.map(drop).map_err(|refusal| failed("set properties of systemd unit", name, &refusal))
    }

    /// Has systemd read its configuration anew, and write what it knows to every group.
    #[cfg(test)]
    pub(super) fn reload(&mut self) -> Result<()> {
        self.call_manager("Reload", "", &[])?.map(drop).map_err(|refusal| failed("reload", SYSTEMD, &refusal))
    }

    /// A textual property of systemd itself.
    pub(super) fn manager_property(&mut self, name: &str) -> Result<String> {
        let mut body = Encoder::default();
        body.text(MANAGER);
        body.text(name);
        let interface = "org.freedesktop.DBus.Properties";
        let call = Call { destination: SYSTEMD, path: MANAGER_PATH, interface, member: "Get", signature: "ss" };
        let answer = self.call(call, &body.into_bytes())?;
        let answer = answer.map_err(|refusal| failed("read systemd's property", name, &refusal))?;
        Ok(answer.body().variant_text()?.to_owned())
    }
}

fn failed(operation: &str, object: &str, refusal: &Refusal) -> Error {
    let reason = if refusal.text.is_empty() { refusal.name.clone() } else { refusal.text.clone() };
    let kind = if refusal.name.ends_with(".UnitExists") { Kind::Conflict } else { Kind::State };
    Error::new(kind, operation, object, reason)
}

/// Where the bus is: the environment's word, or the usual socket.
fn address(rootless: bool) -> Result<String> {
    let (variable, usual) = if rootless {
        ("DBUS_SESSION_BUS_ADDRESS", std::env::var("XDG_RUNTIME_DIR").ok().map(|directory| format!("{directory}/bus")))
    } else {
        ("DBUS_SYSTEM_BUS_ADDRESS", Some("/run/dbus/system_bus_socket".to_owned()))
    };
    if let Some(given) = std::env::var(variable).ok().filter(|given| !given.is_empty()) {
        return Ok(given);
    }
    usual.map(|path| format!("unix:path={path}")).ok_or_else(|| {
        Error::new(
            Kind::State,
            "find",
            "the user's message bus",
            "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set",
        )
        .with_hint("install dbus-user-session and log in anew")
    })
}

/// Tries the addresses of a list in turn.
fn open(list: &str) -> Result<UnixStream> {
    let mut last = Error::invalid("use message bus address", list, "no unix:path= or unix:abstract= in it");
    for one in list.split(';') {
        let Some(options) = one.strip_prefix("unix:") else { continue };
        for (key, value) in options.split(',').filter_map(|option| option.split_once('=')) {
            let target = match key {
                "path" => SocketAddr::from_pathname(value),
                "abstract" => SocketAddr::from_abstract_name(value),
                _ => continue,
            };
            match target.and_then(|target| UnixStream::connect_addr(&target)) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Error::io("connect to message bus", one, &error),
            }
        }
    }
    Err(last)
}

/// The version systemd gives itself: `v245.4-1.fc32`, `252`.
pub(super) fn parse_version(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(['"', 'v']);
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}
