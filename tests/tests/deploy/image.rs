//! The packer of the image, by what comes out of it. What it packs here is no program but begins like one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use podwire_tests::{binaries, manifest};
use serde_json::{Value, json};
use tempfile::TempDir;

const NAME: &str = "docker.io/library/podwire:0.1.0";

/// The header of a 64-bit ELF program for a machine, by elf(5), with no program headers: static.
fn program(machine: u16, rest: &str) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..6].copy_from_slice(b"\x7fELF\x02\x01");
    header[18..20].copy_from_slice(&machine.to_le_bytes());
    header.extend(rest.as_bytes());
    header
}

fn pack(out: &Path, programs: &[PathBuf]) -> Output {
    let packer = manifest::folder().join("image/pack.py");
    Command::new("python3").arg(packer).arg(out).arg(NAME).args(programs).output().expect("python3")
}

/// Three programs in a folder.
fn programs(folder: &TempDir) -> Vec<PathBuf> {
    let write = |name: &&str| {
        let path = folder.path().join(name);
        fs::write(&path, program(0x3E, name)).unwrap();
        path
    };
    ["podwire-agent", "podwire", "podwire-cni"].iter().map(write).collect()
}

/// A blob by the descriptor of it, whose digest and size are held against it.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let path = layout.join("blobs/sha256").join(digest);
    let sum = manifest::output(Command::new("sha256sum").arg(&path)).unwrap();
    assert!(sum.starts_with(digest), "{sum}");
    assert_eq!(fs::metadata(&path).unwrap().len(), descriptor["size"].as_u64().unwrap());
    path
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn it_is_an_image_with_the_programs_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let (archive, layout) = (folder.path().join("image.tar"), folder.path().join("layout"));
    let packed = pack(&archive, &programs(&folder));
    assert!(packed.status.success(), "{packed:?}");
    fs::create_dir(&layout).unwrap();
    manifest::output(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&layout)).unwrap();
    assert_eq!(read(&layout.join("oci-layout")), json!({"imageLayoutVersion": "1.0.0"}));
    let index = read(&layout.join("index.json"));
    let entry = &index["manifests"][0];
    assert_eq!(entry["annotations"]["io.containerd.image.name"], NAME);
    assert_eq!(entry["platform"], json!({"architecture": "amd64", "os": "linux"}));
    let image = read(&blob(&layout, entry));
    let config = read(&blob(&layout, &image["config"]));
    assert_eq!(config["config"], json!({"Entrypoint": ["/usr/bin/podwire-agent"], "Env": ["PATH=/usr/bin"]}));
    assert_eq!((&config["architecture"], &config["os"]), (&json!("amd64"), &json!("linux")));
    let layer = blob(&layout, &image["layers"][0]);
    let listed = manifest::output(Command::new("tar").arg("-tvzf").arg(&layer)).unwrap();
    let listed: Vec<(&str, &str)> = listed
        .lines()
        .map(|line| (line.split_whitespace().next().unwrap(), line.split_whitespace().last().unwrap()))
        .collect();
    let (folder, file) = ("drwxr-xr-x", "-rwxr-xr-x");
    let expected = [
        (folder, "usr/"),
        (folder, "usr/bin/"),
        (file, "usr/bin/podwire-agent"),
        (file, "usr/bin/podwire"),
        (file, "usr/bin/podwire-cni"),
    ];
    assert_eq!(listed, expected);
    let unpacked = Command::new("sh").arg("-c").arg("gzip -dc \"$0\" | sha256sum").arg(&layer).output().unwrap();
    let unpacked = String::from_utf8(unpacked.stdout).unwrap();
    let id = format!("sha256:{}", unpacked.split_whitespace().next().unwrap());
    assert_eq!(config["rootfs"]["diff_ids"], json!([id]));
}

#[test]
fn the_same_programs_give_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let images = ["one.tar", "two.tar"].map(|name| {
        let path = folder.path().join(name);
        assert!(pack(&path, &programs(&folder)).status.success());
        fs::read(path).unwrap()
    });
    assert!(images[0] == images[1]);
}

#[test]
fn what_would_not_run_in_it_is_refused() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("image.tar");
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let refused = |paths: &[PathBuf], words: &str| {
        let output = pack(&out, paths);
        assert!(!output.status.success() && !out.exists());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words) && !said.contains("Traceback"), "{said}");
    };
    // As cargo builds it by default.
    refused(&[binaries::directory().unwrap().join("podwire-agent")], "dynamically linked");
    refused(&[write("script", b"#!/bin/sh\n")], "not a 64-bit");
    refused(&[write("empty", b"")], "not a 64-bit");
    refused(&[write("s390", &program(0x16, ""))], "0x16");
    let mixed = [write("amd64", &program(0x3E, "")), write("arm64", &program(0xB7, ""))];
    refused(&mixed, "several architectures");
}

#[test]
fn both_ways_to_the_image_agree() {
    let image = |name: &str| fs::read_to_string(manifest::folder().join("image").join(name)).unwrap();
    let (containerfile, build) = (image("Containerfile"), image("build"));
    for line in [
        "ENTRYPOINT [\"/usr/bin/podwire-agent\"]",
        "ENV PATH=/usr/bin",
        "COPY --from=build /out/ /usr/bin/",
        "FROM scratch",
    ] {
        assert!(containerfile.lines().any(|each| each == line), "{line}");
    }
    let flags = "RUSTFLAGS=\"-C target-feature=+crt-static\"";
    assert!(containerfile.contains(flags) && build.contains(flags));
    assert!(build.contains("programs=(podwire-agent podwire podwire-cni)"));
    assert!(containerfile.contains("cp podwire-agent podwire podwire-cni /out/"));
}
