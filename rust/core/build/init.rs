//! Builds the freestanding `pyctr-init`, which the core embeds and puts into a sealed memory file for every container.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// Builds the binary and puts it into OUT_DIR.
pub fn build() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let target = env::var("TARGET").unwrap_or_default();
    let workspace = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    println!("cargo:rerun-if-changed=../init/src");
    println!("cargo:rerun-if-changed=../init/Cargo.toml");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(&workspace)
        .args([
            "build",
            "--offline",
            "--locked",
            "--quiet",
            "--profile",
            "init",
            "-p",
            "pyctr-init",
            "--bin",
            "pyctr-init",
        ])
        .args(["--features", "freestanding", "--target", &target, "--target-dir"])
        .arg(out.join("init"))
        // Neither libc nor its start-up code; a fixed address needs no relocation; one page alignment keeps the file small.
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            [
                "-Crelocation-model=static",
                "-Clink-arg=-nostartfiles",
                "-Clink-arg=-nostdlib",
                "-Clink-arg=-static",
                "-Clink-arg=-no-pie",
                "-Clink-arg=-Wl,--build-id=none,-z,noexecstack,-z,norelro,--gc-sections",
            ]
            .join("\u{1f}"),
        )
        // Under clippy the outer build checks, it does not compile; this one must.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CLIPPY_ARGS")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET")
        .status();
    match status {
        Ok(status) if status.success() => {}
        other => {
            eprintln!("building pyctr-init failed: {other:?}");
            std::process::exit(1);
        }
    }
    let built = out.join("init").join(&target).join("init/pyctr-init");
    if let Err(error) = fs::copy(&built, out.join("pyctr-init")) {
        eprintln!("copy {}: {error}", built.display());
        std::process::exit(1);
    }
}
