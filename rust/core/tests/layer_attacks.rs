//! Attacks on extraction, one rule of the security checklist after another. Beside the root lies a victim.
#![cfg(feature = "layer")]
#![allow(missing_docs, clippy::unwrap_used)]

mod tar_builder;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use pyctr_core::layer::digest::Expected;
use pyctr_core::layer::{Extracted, Limits};
use pyctr_core::{Error, Kind};
use tar_builder::{Tar, header, octal, refused, root, seal, unpack, unpack_with};

const MTIME: i64 = 1_000_000;

/// A root with a victim beside it: a file and a directory, which nothing may touch.
struct Place {
    dir: tempfile::TempDir,
    before: Vec<(PathBuf, u32, i64, u64, Vec<u8>)>,
}

fn victims(dir: &tempfile::TempDir) -> Vec<(PathBuf, u32, i64, u64, Vec<u8>)> {
    let mut seen = Vec::new();
    for name in ["victim", "house", "house/inner"] {
        let path = dir.path().join(name);
        let metadata = path.symlink_metadata().unwrap();
        let data = std::fs::read(&path).unwrap_or_default();
        seen.push((path, metadata.mode(), metadata.mtime(), metadata.nlink(), data));
    }
    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    seen.extend(names.into_iter().map(|path| (path, 0, 0, 0, Vec::new())));
    seen
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["root", "house"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["victim", "house/inner"] {
            std::fs::write(dir.path().join(name), "untouched").unwrap();
            std::fs::set_permissions(dir.path().join(name), PermissionsExt::from_mode(0o600)).unwrap();
        }
        let before = victims(&dir);
        Self { dir, before }
    }

    fn unpack(&self, tar: Tar) -> Result<Extracted, Error> {
        let result = tar_builder::unpack_at(&self.dir, &tar.end(), Limits::default());
        assert_eq!(victims(&self.dir), self.before, "something outside the root was changed");
        result
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("root").join(name)
    }
}

fn with(name: &str, kind: u8, change: impl Fn(&mut [u8; 512])) -> [u8; 512] {
    let mut block = header(name, kind, 0, "");
    change(&mut block);
    seal(&mut block);
    block
}

#[test]
fn modes_and_times_never_go_through_a_link() {
    for (link, name) in [("../victim", "l"), ("../house", "l"), ("../house", "l/"), ("../house/inner", "l")] {
        for kind in [b'0', b'5', b'6', b'3', b'1'] {
            if kind == b'3' && !root() {
                continue;
            }
            let place = Place::new();
            let block = with(name, kind, |block| octal(&mut block[100..108], 0o777));
            let _ = place.unpack(Tar::default().link("l", link).raw(block, b""));
        }
    }
}

#[test]
fn trailing_slashes_do_not_make_a_link_be_followed() {
    let place = Place::new();
    place.unpack(Tar::default().link("l", "../house").file("l/", b"mine")).unwrap();
    assert_eq!(std::fs::read(place.path("l")).unwrap(), b"mine");
    let place = Place::new();
    place.unpack(Tar::default().link("l", "../house").link("l//", "elsewhere").dir("l///")).unwrap();
    assert!(place.path("l").symlink_metadata().unwrap().is_dir());
}

#[test]
fn hard_links_through_a_link_stay_inside() {
    for (link, target) in [("..", "out/victim"), ("../house", "out/inner"), ("/proc/self/root", "out/etc/passwd")] {
        let place = Place::new();
        let error = place.unpack(Tar::default().link("out", link).hard("h", target).file("h", b"mine")).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt, "{error}");
    }
    // A link that stays inside is as good as its target.
    let place = Place::new();
    place.unpack(Tar::default().file("d/f", b"x").link("in", "/d").hard("h", "in/f")).unwrap();
    assert_eq!(place.path("d/f").metadata().unwrap().nlink(), 2);
}

#[test]
fn hard_links_that_cannot_be_are_the_archives_fault() {
    for tar in [
        Tar::default().hard("h", "missing"),
        Tar::default().hard("h", "missing/too"),
        Tar::default().hard("h", ""),
        Tar::default().hard("h", "."),
        Tar::default().file("f", b"").hard("h", "f/below"),
    ] {
        refused(&tar.end());
    }
    let place = Place::new();
    place.unpack(Tar::default().file("f", b"x").hard("f", "f").hard("f", "./f")).unwrap();
    assert_eq!(std::fs::read(place.path("f")).unwrap(), b"x");
}

#[test]
fn directories_on_the_way_are_links_only_within() {
    for link in ["..", "../house", "/", "/../../..", "/proc/self/cwd", "/proc/self/root"] {
        let place = Place::new();
        let _ = place.unpack(Tar::default().link("d", link).file("d/inner", b"mine").file("d/new/er", b"mine"));
    }
    let place = Place::new();
    place.unpack(Tar::default().dir("usr/bin").link("bin", "usr/bin").file("bin/sh", b"x")).unwrap();
    assert!(place.path("usr/bin/sh").is_file());
    refused(&Tar::default().link("a", "b").link("b", "a").file("a/f", b"x").end());
    refused(&Tar::default().link("a", "nowhere").file("a/f", b"x").end());
    refused(&Tar::default().file("a", b"").file("a/f", b"x").end());
}

#[test]
fn directory_that_became_a_link_is_not_the_old_one() {
    // The old directory is still open when the link takes its place.
    let place = Place::new();
    let tar = Tar::default().dir("a").dir("b").file("a/f", b"1").link("a", "b").file("a/g", b"2");
    place.unpack(tar).unwrap();
    assert_eq!(std::fs::read(place.path("b/g")).unwrap(), b"2");
    let place = Place::new();
    let tar = Tar::default().dir("a").dir("b").link("l", "a").file("l/1", b"").link("l", "b").file("l/2", b"");
    place.unpack(tar).unwrap();
    assert!(place.path("a/1").exists() && place.path("b/2").exists());
    // Times of the directory that was do not become those of what the link leads to.
    let place = Place::new();
    place.unpack(Tar::default().dir("d").dir("kept").link("d", "kept").raw(late("kept"), b"")).unwrap();
    assert_eq!(place.path("kept").metadata().unwrap().mtime(), 2 * MTIME);
}

fn late(name: &str) -> [u8; 512] {
    with(name, b'5', |block| octal(&mut block[136..148], 2 * MTIME.unsigned_abs()))
}

#[test]
fn set_id_bits_and_capabilities_outlive_the_change_of_owner() {
    if !root() {
        return;
    }
    let block = with("f", b'0', |block| {
        octal(&mut block[100..108], 0o6755);
        octal(&mut block[108..116], 12);
        octal(&mut block[116..124], 34);
    });
    // VFS_CAP_REVISION_2 with CAP_NET_RAW, effective.
    let capability = "\u{1}\0\0\u{2}\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let place = Place::new();
    place.unpack(Tar::default().pax(&[("SCHILY.xattr.security.capability", capability)]).raw(block, b"")).unwrap();
    let metadata = place.path("f").metadata().unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o6755, 12, 34));
    let mut value = [0u8; 32];
    let length = rustix::fs::getxattr(place.path("f"), "security.capability", &mut value[..]).unwrap();
    assert_eq!(&value[..length], capability.as_bytes());
}

#[test]
fn overlays_attributes_are_dropped_in_every_form() {
    if !root() {
        return;
    }
    let records = [
        ("SCHILY.xattr.trusted.overlay.metacopy", ""),
        ("LIBARCHIVE.xattr.trusted.overlay.redirect", "L2V0Yw=="),
        ("LIBARCHIVE.xattr.trusted%2eoverlay.opaque", "eQ"),
        ("SCHILY.xattr.user.overlay.opaque", "y"),
        ("SCHILY.xattr.trusted.overlay.overlay.opaque", "y"),
        ("SCHILY.xattr.trusted.kept", "1"),
    ];
    for (kind, link) in [(b'0', ""), (b'5', ""), (b'2', "x"), (b'6', "")] {
        let place = Place::new();
        place.unpack(Tar::default().pax(&records).raw(header("f", kind, 0, link), b"")).unwrap();
        let mut names = [0u8; 256];
        let length = rustix::fs::llistxattr(place.path("f"), &mut names[..]).unwrap();
        assert_eq!(String::from_utf8_lossy(&names[..length]), "trusted.kept\0", "type {}", char::from(kind));
    }
}

#[test]
fn names_readers_disagree_on_are_refused() {
    let two_names = Tar::default().pax(&[("path", "a")]).raw(header("x", b'L', 2, ""), b"b\0").file("c", b"");
    let two_links = Tar::default().pax(&[("linkpath", "a")]).raw(header("x", b'K', 2, ""), b"b\0").link("c", "d");
    let global = |key: &str, value: &str| {
        let mut tar = Tar::default().pax(&[(key, value)]);
        tar.0[156] = b'g';
        let block: &mut [u8; 512] = (&mut tar.0[..512]).try_into().unwrap();
        seal(block);
        tar.file("a", b"")
    };
    for tar in [
        two_names,
        two_links,
        Tar::default().pax(&[("path", "a")]).pax(&[("path", "b")]).file("c", b""),
        global("path", "a"),
        global("size", "512"),
        Tar::default().file("a", b"").raw([0; 512], b"").file("hidden", b""),
        Tar::default().pax(&[("size", "512")]).dir("d").file("hidden", b""),
        Tar::default().pax(&[("path", "a\0b")]).file("c", b""),
    ] {
        refused(&tar.end());
    }
    let (_, result) = unpack(&global("comment", "a commit").end());
    result.unwrap();
    refused(&Tar::default().pax(&[("path", "a")]).end());
    refused(&Tar::default().pax(&[("path", "a")]).0);
}

#[test]
fn content_of_a_file_with_a_slash_is_content() {
    // Docker takes it for a file; a reader that took it for a directory would see entries in its content.
    let mut content = header("hidden", b'0', 0, "").to_vec();
    content.resize(1024, b'.');
    for kind in [b'0', 0] {
        let place = Place::new();
        place.unpack(Tar::default().raw(header("cover/", kind, 1024, ""), &content)).unwrap();
        assert!(!place.path("hidden").exists());
        assert_eq!(place.path("cover").metadata().unwrap().is_dir(), kind == 0);
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    type Change = fn(&mut [u8; 512]);
    let changes: [Change; 8] = [
        |block| block[124..136].fill(0xff), // size -1
        |block| block[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        |block| block[124..136].copy_from_slice(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        |block| block[124..136].copy_from_slice(b"00000000018\0"), // no octal digit
        |block| block[124..136].copy_from_slice(b"-0000000001\0"),
        |block| block[108..116].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff"), // uid -1 to chown(2)
        |block| block[100..108].copy_from_slice(b"\x80\0\0\x01\0\0\0\0"),
        |block| block[136..148].copy_from_slice(b"12 34 567890"),
    ];
    for change in changes {
        refused(&Tar::default().raw(with("f", b'0', change), b"").end());
    }
    for record in
        [("size", "-1"), ("size", "99999999999999999999"), ("uid", "4294967295"), ("mtime", "1e9"), ("gid", "x")]
    {
        refused(&Tar::default().pax(&[record]).file("f", b"").end());
    }
    refused(&Tar::default().pax(&[("mtime", "-9223372036854775808.5")]).file("f", b"").end());
    refused(&Tar::default().pax(&[("size", "18446744073709551615")]).file("f", b"").end());
}

#[test]
fn types_docker_does_not_know_are_refused_by_name() {
    for kind in [b'D', b'M', b'N', b'V', b'X', b'A', b'8', b'z', 0x80] {
        let (_, result) = unpack(&Tar::default().raw(header("f", kind, 0, ""), b"").end());
        assert!(result.unwrap_err().to_string().contains("unknown entry type"));
    }
}

#[test]
fn whiteouts_that_name_nothing_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.", ".wh.a/b", ".wh..wh.", ".wh.d/.wh..wh..opq", "a/.wh./"] {
        refused(&Tar::default().file(name, b"").end());
        refused(&Tar::default().pax(&[("path", name)]).file("x", b"").end());
    }
    // A link in place of what it names is not followed.
    let place = Place::new();
    let tar = Tar::default().link("l", "../house").file(".wh.l", b"").link("m", "..").file("m/.wh.victim", b"");
    if root() {
        place.unpack(tar).unwrap();
        assert!(place.path("l").is_symlink());
    }
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    let sparse = |records: &[(&str, &str)], data: &[u8]| Tar::default().pax(records).file("s", data).end();
    let version_1 = |map: &str, size: &str| {
        let mut data = map.as_bytes().to_vec();
        data.resize(512, 0);
        data.extend_from_slice(b"data");
        sparse(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", size)], &data)
    };
    let (dir, result) = unpack(&version_1("1\n4\n4\n", "12"));
    result.unwrap();
    assert_eq!(std::fs::read(dir.path().join("root/s")).unwrap(), b"\0\0\0\0data\0\0\0\0");
    for (map, size) in [
        ("1\n4\n5\n", "12"),
        ("1\n10\n4\n", "12"),
        ("2\n4\n2\n3\n2\n", "12"),
        ("9999999\n", "12"),
        ("x\n", "12"),
        ("1\n4\n4", "12"),
    ] {
        refused(&version_1(map, size));
    }
    refused(&sparse(&[("GNU.sparse.map", "0,4,2,4"), ("GNU.sparse.size", "12")], b"datadata"));
    refused(&sparse(&[("GNU.sparse.map", "0,4,8"), ("GNU.sparse.size", "12")], b"data"));
    refused(&sparse(&[("GNU.sparse.map", "0,4")], b"data"));
    refused(&sparse(&[("GNU.sparse.numbytes", "4"), ("GNU.sparse.size", "12")], b"data"));
}

#[test]
fn bombs_of_holes_and_of_implied_directories_are_bounded() {
    let limits = Limits { max_bytes: 1 << 20, max_entries: 100 };
    let hole = [("GNU.sparse.map", "0,0"), ("GNU.sparse.size", "1000000")];
    let tar = Tar::default().pax(&hole).file("a", b"").pax(&hole).file("b", b"").end();
    let (_, result) = unpack_with(&tar, Expected::default(), None, limits);
    assert!(result.unwrap_err().to_string().contains("more than 1048576 bytes"));
    let deep = "d/".repeat(200) + "f";
    let tar = Tar::default().pax(&[("path", &deep)]).file("x", b"").end();
    let (_, result) = unpack_with(&tar, Expected::default(), None, limits);
    assert!(result.unwrap_err().to_string().contains("more than 100 entries"));
}

#[test]
fn names_longer_than_the_kernel_takes_are_the_archives_fault() {
    for name in ["n".repeat(256), "d/".repeat(3000), format!("{}/x", "n".repeat(256)), "d/".repeat(100_000) + "f"] {
        refused(&Tar::default().pax(&[("path", &name)]).file("x", b"").end());
    }
    refused(&Tar::default().pax(&[("linkpath", &"t".repeat(5000))]).link("l", "x").end());
    refused(&Tar::default().pax(&[("comment", &"c".repeat(1 << 20))]).file("x", b"").end());
    let place = Place::new();
    place.unpack(Tar::default().pax(&[("path", &("d/".repeat(1500) + "f"))]).file("x", b"deep")).unwrap();
    pyctr_core::files::remove_tree(&place.path("d"), false).unwrap();
    assert!(!place.path("d").exists());
}
