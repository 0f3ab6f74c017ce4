//! Extraction against archives that mean harm, and against GNU tar.
#![cfg(feature = "layer")]
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

mod tar_builder;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pyctr_core::layer::digest::{Expected, Hasher};
use pyctr_core::layer::{Limits, Whiteouts, extract};
use tar_builder::{Tar, contained, header, nothing_outside, refused, root, seal, unpack, unpack_with};

#[test]
fn members_that_lead_out_are_refused() {
    contained(|| {
        refused(&Tar::default().file("../evil", b"x").end());
        refused(&Tar::default().file("a/../../evil", b"x").end());
        refused(&Tar::default().file("x", b"x").hard("evil", "../victim").end());
    });
}

#[test]
fn absolute_names_stay_inside() {
    contained(|| {
        let (dir, result) = unpack(&Tar::default().file("/evil", b"x").end());
        result.unwrap();
        assert!(dir.path().join("root/evil").exists());
        nothing_outside(&dir);
    });
}

#[test]
fn file_through_a_link_stays_inside() {
    contained(|| {
        for target in ["..", "/", "../../../../../../tmp", "/tmp"] {
            let (dir, _) = unpack(&Tar::default().link("out", target).file("out/pyctr-evil", b"x").end());
            nothing_outside(&dir);
            assert!(!Path::new("/tmp/pyctr-evil").exists() && !Path::new("/pyctr-evil").exists());
        }
    });
}

#[test]
fn directory_over_a_link_replaces_the_link() {
    contained(|| {
        let (dir, result) = unpack(&Tar::default().link("d", "..").dir("d/").file("d/f", b"x").end());
        result.unwrap();
        assert!(dir.path().join("root/d").symlink_metadata().unwrap().is_dir());
        nothing_outside(&dir);
    });
}

#[test]
fn hard_link_to_a_link_is_that_link() {
    contained(|| {
        // Inside the test's own root directory: see `contained`.
        let (dir, result) = unpack(&Tar::default().link("l", "/etc/passwd").hard("h", "l").file("h", b"mine").end());
        result.unwrap();
        assert_eq!(std::fs::read(dir.path().join("root/h")).unwrap(), b"mine");
        assert!(dir.path().join("root/l").symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read("/etc/passwd").unwrap(), b"untouched");
    });
}

#[test]
fn pax_size_governs_the_stream() {
    contained(|| {
        // A header that says less than PAX, which says 1024: whoever believes the header sees an entry hidden in the content.
        for stored in [0, 512] {
            let hidden = header("hidden", b'0', 0, "");
            let mut content = vec![b'.'; usize::try_from(stored).unwrap()];
            content.extend(hidden);
            content.resize(1024, b'.');
            let tar = Tar::default().pax(&[("size", "1024")]).raw(header("cover", b'0', stored, ""), &content).end();
            let (dir, result) = unpack(&tar);
            result.unwrap();
            assert!(!dir.path().join("root/hidden").exists());
            assert_eq!(dir.path().join("root/cover").metadata().unwrap().len(), 1024);
        }
    });
}

#[test]
fn malformed_headers_are_refused() {
    contained(|| {
        let good = Tar::default().file("a", b"abc").end();
        for (at, byte) in [(148, b'9'), (0, b'b'), (124, b'x'), (156, b'?')] {
            let mut bad = good.clone();
            bad[at] = byte;
            refused(&bad);
        }
        let mut unknown = header("a", b'Z', 0, "");
        seal(&mut unknown);
        refused(&Tar::default().raw(unknown, b"").end());
    });
}

#[test]
fn truncation_is_noticed_wherever_it_is() {
    contained(|| {
        let good = Tar::default().file("a", &[7; 3000]).file("b", b"x").end();
        for cut in [100, 512, 600, 3000, 3583, 3600, 4200] {
            let (_, result) = unpack(&good[..cut]);
            if cut % 512 == 0 && cut == 4608 {
                continue;
            }
            assert!(result.is_err(), "cut at {cut}");
        }
    });
}

#[test]
fn odd_whiteouts_are_refused() {
    contained(|| {
        for name in [".wh.", ".wh..", ".wh...", "d/.wh.."] {
            refused(&Tar::default().file(name, b"").end());
        }
    });
}

#[test]
fn whiteouts_become_overlays() {
    contained(|| {
        let tar = Tar::default()
            .file("d/.wh.gone", b"")
            .dir("o/")
            .file("o/.wh..wh..opq", b"")
            .file(".wh..wh.plnk", b"")
            .end();
        let (dir, result) = unpack(&tar);
        result.unwrap();
        let gone = dir.path().join("root/d/gone").symlink_metadata().unwrap();
        assert_eq!((gone.mode() & 0o170_000, gone.rdev()), (0o020_000, 0));
        let mut value = [0u8; 8];
        let length = rustix::fs::getxattr(dir.path().join("root/o"), "trusted.overlay.opaque", &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"y");
        assert_eq!(std::fs::read_dir(dir.path().join("root")).unwrap().count(), 2);
    });
}

#[test]
fn directory_after_its_whiteout_hides_what_lies_below() {
    contained(|| {
        let (dir, result) = unpack(&Tar::default().file(".wh.d", b"").dir("d/").end());
        result.unwrap();
        let mut value = [0u8; 8];
        assert!(rustix::fs::getxattr(dir.path().join("root/d"), "trusted.overlay.opaque", &mut value[..]).is_ok());
    });
}

#[test]
fn overlay_attributes_from_outside_are_dropped() {
    contained(|| {
        let records = [
            ("SCHILY.xattr.trusted.overlay.opaque", "y"),
            ("SCHILY.xattr.user.overlay.redirect", "/"),
            ("SCHILY.xattr.user.kept", "1"),
        ];
        let (dir, result) = unpack(&Tar::default().pax(&records).dir("d/").end());
        result.unwrap();
        let path = dir.path().join("root/d");
        let mut value = [0u8; 64];
        assert!(rustix::fs::getxattr(&path, "trusted.overlay.opaque", &mut value[..]).is_err());
        assert!(rustix::fs::getxattr(&path, "user.overlay.redirect", &mut value[..]).is_err());
        assert!(rustix::fs::getxattr(&path, "user.kept", &mut value[..]).is_ok());
    });
}

#[test]
fn digests_cover_the_padding() {
    contained(|| {
        let mut tar = Tar::default().file("a", b"abc").end();
        // More than the two threads hold between them.
        tar.resize(tar.len() + (5 << 20), 0);
        let mut hasher = Hasher::default();
        hasher.update(&tar);
        let whole = hasher.finish();
        let (_, result) = unpack_with(
            &tar,
            Expected { digest: Some(whole), size: Some(tar.len() as u64) },
            Some(whole),
            Limits::default(),
        );
        assert_eq!(result.unwrap().diff_id, whole);
        tar.push(b'x');
        let (_, result) = unpack_with(&tar, Expected { digest: Some(whole), size: None }, None, Limits::default());
        assert!(result.unwrap_err().to_string().contains("digest is"));
    });
}

#[test]
fn wrong_size_is_refused() {
    contained(|| {
        let tar = Tar::default().file("a", b"abc").end();
        let (_, result) = unpack_with(&tar, Expected { digest: None, size: Some(5) }, None, Limits::default());
        assert!(result.unwrap_err().to_string().contains("size is"));
    });
}

#[test]
fn bombs_are_bounded() {
    contained(|| {
        let tar = Tar::default().file("a", &vec![0; 1 << 20]).end();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&tar).unwrap();
        let bomb = gzip.finish().unwrap();
        let limits = Limits { max_bytes: 1 << 16, max_entries: 10 };
        let (_, result) = unpack_with(&bomb, Expected::default(), None, limits);
        assert!(result.unwrap_err().to_string().contains("more than 65536 bytes"));
        let many = (0..20).fold(Tar::default(), |tar, number| tar.file(&format!("f{number}"), b"")).end();
        let (_, result) = unpack_with(&many, Expected::default(), None, Limits { max_bytes: 1 << 20, max_entries: 10 });
        assert!(result.unwrap_err().to_string().contains("more than 10 entries"));
    });
}

#[test]
fn every_codec_gives_the_same_tree() {
    contained(|| {
        let tar = Tar::default().file("a", b"abc").end();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar[..700]).unwrap();
        let mut members = gzip.finish().unwrap();
        let mut second = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        second.write_all(&tar[700..]).unwrap();
        members.extend(second.finish().unwrap());
        let mut frames = zstd::encode_all(&tar[..700], 1).unwrap();
        frames.extend(zstd::encode_all(&tar[700..], 3).unwrap());
        let mut ids = Vec::new();
        for stream in [tar.clone(), members, frames] {
            let (dir, result) = unpack(&stream);
            ids.push(result.unwrap().diff_id);
            assert_eq!(std::fs::read(dir.path().join("root/a")).unwrap(), b"abc");
        }
        assert!(ids.iter().all(|id| *id == ids[0]));
        let (_, result) = unpack(b"\xfd7zXZ\0rest");
        assert!(result.unwrap_err().to_string().contains("xz"));
    });
}

#[test]
fn tree_is_the_one_gnu_tar_makes() {
    if !root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = r"
        mkdir -p src/dir/deep && cd src && echo one > dir/one && ln dir/one hard && ln -s dir/one soft && chmod 4751 dir/one &&
        mkfifo pipe && mknod null c 1 3 && mkdir -m 1777 sticky && chown 12:34 sticky && truncate -s 1M sparse &&
        printf data | dd of=sparse bs=1 seek=500000 conv=notrunc status=none && touch -d '2001-02-03 04:05:06.789' dir/deep &&
        setfattr -n user.note -v hi dir/one; long=$(printf 'n%.0s' $(seq 120)) && mkdir -p $long && echo x > $long/$long; cd ..
        tar --xattrs -C src --format=posix -S -cf posix.tar . && tar -C src --format=gnu -S -cf gnu.tar . &&
        tar -C src --format=oldgnu -cf old.tar .";
    let status = std::process::Command::new("sh").args(["-ec", script]).current_dir(dir.path()).status().unwrap();
    if !status.success() {
        println!("skipped: needs GNU tar and setfattr");
        return;
    }
    for name in ["posix.tar", "gnu.tar", "old.tar"] {
        let target = dir.path().join(format!("{name}.d"));
        std::fs::create_dir(&target).unwrap();
        let root = rustix::fs::open(&target, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
        let file = std::fs::File::open(dir.path().join(name)).unwrap();
        extract(file, root.as_fd(), Expected::default(), None, Limits::default(), Whiteouts::Trusted).unwrap();
        let list = r"find . -printf '%p %y %m %U:%G %n %l %s %T@\n' | grep -v '^\. ' | sort | sed 's/\(\.[0-9]\{3\}\)[0-9]*$/\1/'";
        let listing = |at: &Path| {
            let output = std::process::Command::new("sh").args(["-c", list]).current_dir(at).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            // GNU formats keep whole seconds; directories' sizes are the file system's business.
            let whole_seconds = |line: &str| {
                if name == "posix.tar" { line.to_owned() } else { line.rsplit_once('.').unwrap().0.to_owned() }
            };
            text.lines().filter(|line| !line.contains(" d ")).map(whole_seconds).collect::<Vec<_>>()
        };
        assert_eq!(listing(&target), listing(&dir.path().join("src")), "{name}");
        let mut data = Vec::new();
        std::fs::File::open(target.join("sparse")).unwrap().read_to_end(&mut data).unwrap();
        assert_eq!(&data[500_000..500_004], b"data");
        assert_eq!(target.join("dir/deep").metadata().unwrap().mtime(), 981_173_106);
    }
}
