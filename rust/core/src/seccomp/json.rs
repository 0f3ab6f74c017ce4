//! Docker's form of a profile: JSON whose rules depend on the container's capabilities, the host's architecture and kernel
//! (moby/profiles, seccomp/seccomp.go). The plain OCI form is the same without conditions.
//!
//! Stricter than Docker: an unknown field or name is an error, because a misspelt rule silently left out is a hole.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompFilterFlag,
    LinuxSeccompOperator, LinuxSyscall,
};
use serde_json::{Map, Value};

use super::abi::HostArch;
use super::errno;
use crate::sys::capabilities;
use crate::{Error, Result};

/// The largest profile taken. Docker's own has 20 KiB.
const MAX_BYTES: usize = 1 << 20;

/// Architectures as Docker's profiles name them in `arches`.
const DOCKER_ARCHES: [&str; 17] = [
    "amd64",
    "arm",
    "arm64",
    "loong64",
    "loongarch64",
    "mips",
    "mips64",
    "mips64n32",
    "mipsel",
    "mipsel64",
    "mipsel64n32",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390",
    "s390x",
];

/// 32-bit ABIs, which no host of ours is.
const DOCKER_SUB_ARCHES: [&str; 2] = ["x86", "x32"];

/// What the conditions of a profile ask about.
struct Facts {
    host: HostArch,
    capabilities: u64,
    kernel: (u32, u32),
}

/// The OCI profile that a profile in Docker's form comes to, for a container whose bounding set has these capabilities (bit n:
/// capability number n) on a kernel of this version (major, minor) of this architecture.
pub fn resolve_docker_profile(json: &[u8], capabilities: u64, kernel: (u32, u32)) -> Result<LinuxSeccomp> {
    if json.len() > MAX_BYTES {
        return Err(refuse("", &format!("{} bytes, more than {MAX_BYTES}", json.len())));
    }
    let value: Value = serde_json::from_slice(json).map_err(|error| refuse("", &error.to_string()))?;
    profile(&At { path: String::new(), value: &value }, &Facts { host: HostArch::NATIVE, capabilities, kernel })
}

fn refuse(path: &str, reason: &str) -> Error {
    let reason = if path.is_empty() { reason.to_owned() } else { format!("{path}: {reason}") };
    Error::invalid("read", "seccomp profile", reason)
}

fn profile(at: &At, facts: &Facts) -> Result<LinuxSeccomp> {
    let known = [
        "defaultAction",
        "defaultErrnoRet",
        "defaultErrno",
        "architectures",
        "archMap",
        "flags",
        "listenerPath",
        "listenerMetadata",
        "syscalls",
    ];
    let fields = at.fields(&known)?;
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(fields.required("defaultAction")?.named::<LinuxSeccompAction>("action")?);
    profile.set_default_errno_ret(errno_ret(&fields, "defaultErrno", "defaultErrnoRet")?);
    profile.set_architectures(architectures(&fields, facts.host)?);
    if let Some(flags) = fields.get("flags") {
        let flags =
            flags.items()?.iter().map(|flag| flag.named::<LinuxSeccompFilterFlag>("flag")).collect::<Result<_>>()?;
        profile.set_flags(Some(flags));
    }
    if let Some(path) = fields.get("listenerPath").filter(|path| path.value != "") {
        profile.set_listener_path(Some(path.text()?.into()));
    }
    if let Some(metadata) = fields.get("listenerMetadata") {
        profile.set_listener_metadata(Some(metadata.text()?.to_owned()));
    }
    let mut syscalls = Vec::new();
    for item in fields.get("syscalls").map_or(Ok(Vec::new()), |list| list.items())? {
        syscalls.extend(syscall(&item, facts)?);
    }
    profile.set_syscalls(Some(syscalls));
    Ok(profile)
}

/// `architectures` as it is, or the entry of `archMap` for the host.
fn architectures(fields: &Fields, host: HostArch) -> Result<Option<Vec<Arch>>> {
    let named = |at: &At| at.named::<Arch>("architecture");
    let plain = fields.get("architectures").map(|list| list.items()).transpose()?.unwrap_or_default();
    let map = fields.get("archMap").map(|list| list.items()).transpose()?.unwrap_or_default();
    if !plain.is_empty() && !map.is_empty() {
        return Err(refuse("archMap", "not together with architectures"));
    }
    let mut arches: Vec<Arch> = plain.iter().map(named).collect::<Result<_>>()?;
    let native = match host {
        HostArch::X86_64 => Arch::ScmpArchX86_64,
        HostArch::Aarch64 => Arch::ScmpArchAarch64,
    };
    for entry in &map {
        let entry = entry.fields(&["architecture", "subArchitectures"])?;
        let arch = named(&entry.required("architecture")?)?;
        let below = entry.get("subArchitectures").map(|list| list.items()).transpose()?.unwrap_or_default();
        let below = below.iter().map(named).collect::<Result<Vec<_>>>()?;
        if arch == native && arches.is_empty() {
            arches.push(arch);
            arches.extend(below);
        }
    }
    Ok(Some(arches).filter(|arches| !arches.is_empty()))
}

/// One rule, if its conditions hold.
fn syscall(at: &At, facts: &Facts) -> Result<Option<LinuxSyscall>> {
    let known = ["name", "names", "action", "args", "errnoRet", "errno", "comment", "includes", "excludes"];
    let fields = at.fields(&known)?;
    let mut names = Vec::new();
    for item in fields.get("names").map_or(Ok(Vec::new()), |list| list.items())? {
        names.push(item.text()?.to_owned());
    }
    if let Some(name) = fields.get("name").filter(|name| name.value != "") {
        if !names.is_empty() {
            return Err(refuse(&name.path, "not together with names"));
        }
        names.push(name.text()?.to_owned());
    }
    if names.is_empty() {
        return Err(refuse(&fields.path("names"), "missing or empty"));
    }
    fields.get("comment").map(|comment| comment.text().map(drop)).transpose()?;
    let mut syscall = LinuxSyscall::default();
    syscall.set_names(names);
    syscall.set_action(fields.required("action")?.named::<LinuxSeccompAction>("action")?);
    syscall.set_errno_ret(errno_ret(&fields, "errno", "errnoRet")?);
    let args = fields.get("args").map_or(Ok(Vec::new()), |list| list.items())?;
    syscall.set_args(Some(args.iter().map(argument).collect::<Result<_>>()?));
    let excluded = fields.get("excludes").map(|filter| holds(&filter, facts)).transpose()?;
    let included = fields.get("includes").map(|filter| holds(&filter, facts)).transpose()?;
    let excluded = excluded.is_some_and(|found| found.contains(&Some(true)));
    let included = included.is_none_or(|found| !found.contains(&Some(false)));
    Ok((included && !excluded).then_some(syscall))
}

fn argument(at: &At) -> Result<LinuxSeccompArg> {
    let fields = at.fields(&["index", "value", "valueTwo", "op"])?;
    let index = fields.required("index")?;
    let number = usize::try_from(index.number()?).ok().filter(|index| *index < 6);
    // Go leaves out what is zero.
    let zero_if_absent = |key| fields.get(key).map_or(Ok(0), |value| value.number());
    LinuxSeccompArgBuilder::default()
        .index(number.ok_or_else(|| refuse(&index.path, "more than 5"))?)
        .value(zero_if_absent("value")?)
        .value_two(zero_if_absent("valueTwo")?)
        .op(fields.required("op")?.named::<LinuxSeccompOperator>("operator")?)
        .build()
        .map_err(|error| refuse(&at.path, &error.to_string()))
}

/// Which parts of an `includes` or `excludes` are there, and whether they are true: all needed to include, any excludes. Of
/// capabilities, `includes` asks for all and `excludes` for any, so each counts for itself.
fn holds(at: &At, facts: &Facts) -> Result<Vec<Option<bool>>> {
    let fields = at.fields(&["caps", "arches", "minKernel"])?;
    let mut found = Vec::new();
    for cap in fields.get("caps").map_or(Ok(Vec::new()), |list| list.items())? {
        let name = cap.text()?;
        let number = capabilities::NAMES.iter().position(|&known| known == name);
        let number = number.ok_or_else(|| refuse(&cap.path, &format!("unknown capability {name:?}")))?;
        found.push(Some(facts.capabilities >> number & 1 == 1));
    }
    let arches = fields.get("arches").map_or(Ok(Vec::new()), |list| list.items())?;
    let mut matches = None;
    for arch in &arches {
        let name = arch.text()?;
        if !DOCKER_ARCHES.contains(&name) && !DOCKER_SUB_ARCHES.contains(&name) {
            return Err(refuse(&arch.path, &format!("unknown architecture {name:?}")));
        }
        matches = Some(matches == Some(true) || name == facts.host.docker_name());
    }
    found.push(matches);
    if let Some(version) = fields.get("minKernel").filter(|version| version.value != "") {
        let text = version.text()?;
        let parsed = text.split_once('.').and_then(|(kernel, major)| Some((part(kernel)?, part(major)?)));
        let minimum = parsed.filter(|version| *version != (0, 0));
        let minimum = minimum.ok_or_else(|| refuse(&version.path, &format!("{text:?} is not KERNEL.MAJOR")))?;
        found.push(Some(facts.kernel >= minimum));
    }
    Ok(found)
}

/// One part of a kernel version: at most 255, as Docker has it.
fn part(text: &str) -> Option<u32> {
    (!text.starts_with('+')).then(|| text.parse::<u8>().ok()).flatten().map(u32::from)
}

/// The errno of a rule: a number, or (in profiles of the containers project) a name; both must agree.
fn errno_ret(fields: &Fields, name: &str, number: &str) -> Result<Option<u32>> {
    let value = match fields.get(number) {
        None => None,
        Some(at) => Some(u32::try_from(at.number()?).map_err(|_| refuse(&at.path, "more than 4294967295"))?),
    };
    let Some(at) = fields.get(name).filter(|at| at.value != "") else { return Ok(value) };
    let text = at.text()?;
    let named = errno::number(text).ok_or_else(|| refuse(&at.path, &format!("unknown errno {text:?}")))?;
    match value {
        Some(value) if value != named => Err(refuse(&at.path, &format!("{text} is {named}, {number} is {value}"))),
        _ => Ok(Some(named)),
    }
}

/// A value and where in the profile it is.
struct At<'a> {
    path: String,
    value: &'a Value,
}

/// The fields of an object, all of which are known.
struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> At<'a> {
    fn wrong(&self, wanted: &str) -> Error {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "another number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        refuse(&self.path, &format!("must be {wanted}, is {found}"))
    }

    fn fields(&self, known: &[&str]) -> Result<Fields<'a>> {
        let map = self.value.as_object().ok_or_else(|| self.wrong("an object"))?;
        let fields = Fields { path: self.path.clone(), map };
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(refuse(&fields.path(&key.escape_debug().to_string()), "unknown field")),
            None => Ok(fields),
        }
    }

    fn items(&self) -> Result<Vec<At<'a>>> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("a list"))?;
        let item = |(index, value)| At { path: format!("{}[{index}]", self.path), value };
        Ok(list.iter().enumerate().map(item).collect())
    }

    fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong("a string"))
    }

    fn number(&self) -> Result<u64> {
        self.value.as_u64().ok_or_else(|| self.wrong("a whole number of at most 64 bits"))
    }

    /// One of the names of an enumeration of the OCI specification.
    fn named<T: std::str::FromStr>(&self, kind: &str) -> Result<T> {
        let text = self.text()?;
        text.parse().map_err(|_| refuse(&self.path, &format!("unknown {kind} {text:?}")))
    }
}

impl<'a> Fields<'a> {
    fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A field, unless it is absent or null.
    fn get(&self, key: &str) -> Option<At<'a>> {
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        Some(At { path: self.path(key), value })
    }

    fn required(&self, key: &str) -> Result<At<'a>> {
        self.get(key).ok_or_else(|| refuse(&self.path(key), "missing"))
    }
}
