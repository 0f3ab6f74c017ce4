//! Builds what the wheel carries beside the extension module: the static `pyctr-runtime` and the program of the image `hello`.
//!
//! Only for release builds, which is how wheels are built; `make dev` places debug builds itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=../core");
    println!("cargo:rerun-if-changed=../init");
    println!("cargo:rerun-if-changed=../runtime");
    println!("cargo:rerun-if-changed=../hello");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    build_static("pyctr-runtime", &out);
    build_static("pyctr-hello", &out);
}

/// Builds one binary of the workspace with libc linked in, and puts it into `out`.
fn build_static(name: &str, out: &Path) {
    let target = env::var("TARGET").unwrap_or_default();
    let workspace = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(&workspace)
        .args(["build", "--quiet", "--profile", "runtime", "-p", name, "--bin", name])
        .args(["--target", &target, "--target-dir"])
        .arg(out.join("static"))
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static\u{1f}-Crelocation-model=static")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CLIPPY_ARGS")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET")
        .status();
    let built = out.join("static").join(&target).join("runtime").join(name);
    match status {
        Ok(status) if status.success() => {
            if let Err(error) = fs::copy(&built, out.join(name)) {
                fail(&format!("copy {}: {error}", built.display()));
            }
        }
        other => fail(&format!("building {name} failed: {other:?}")),
    }
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(1);
}
