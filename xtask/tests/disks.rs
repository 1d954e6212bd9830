//! `cargo xtask vhd` and `cargo xtask storage-sizing`, as their user runs them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use crate::program::{output, refused, stand};

/// What a command says, which must go well.
fn said(folder: &Path, words: &[&str]) -> String {
    let done = output(folder, words);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{words:?}: {text}{}", String::from_utf8_lossy(&done.stderr));
    // Wherever lines are broken.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What QEMU's tool says, where it is installed.
fn qemu_img(folder: &Path, words: &[&str]) -> Option<String> {
    let Ok(done) = Command::new("qemu-img").args(words).current_dir(folder).output() else {
        eprintln!("left out: qemu-img is not installed (Debian: qemu-utils)");
        return None;
    };
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "qemu-img {words:?}: {text}{}", String::from_utf8_lossy(&done.stderr));
    Some(text)
}

/// A raw image with something at its beginning, in its middle and at its end.
fn raw_image(folder: &Path, name: &str) {
    let file = File::create(folder.join(name)).unwrap();
    file.set_len(16 << 20).unwrap();
    for at in [0, 5_000_000, (16 << 20) - 512] {
        file.write_all_at(&[0x5a; 512], at).unwrap();
    }
}

#[test]
fn an_image_goes_through_all_types_and_qemu_reads_each() {
    let folder = stand("vhd-types");
    raw_image(&folder, "plain.img");
    let dynamic = ["vhd", "convert", "plain.img", "a.vhd", "--from-format", "raw"];
    let told = said(&folder, &dynamic);
    assert!(told.starts_with("a.vhd: ") && told.ends_with("of 16 MB are not zeros."), "{told}");
    said(&folder, &["vhd", "convert", "a.vhd", "b.vhd", "--to-type", "fixed"]);
    said(&folder, &["vhd", "convert", "b.vhd", "back.img", "--to-type", "raw"]);
    assert_eq!(fs::read(folder.join("back.img")).unwrap(), fs::read(folder.join("plain.img")).unwrap());
    assert!(said(&folder, &["vhd", "diff", "a.vhd", "b.vhd"]).contains("The same in all 32768 sectors."));
    for file in ["a.vhd", "b.vhd"] {
        assert!(said(&folder, &["vhd", "check", file]).contains("good."));
        qemu_img(&folder, &["compare", "-f", "vpc", "-F", "raw", file, "plain.img"]);
    }
    // And what QEMU wrote is read here.
    if qemu_img(&folder, &["convert", "-f", "raw", "-O", "vpc", "plain.img", "q.vhd"]).is_some() {
        assert!(said(&folder, &["vhd", "check", "q.vhd"]).contains("good."));
    }
}

#[test]
fn a_child_differs_from_its_parent_until_that_is_written() {
    let folder = stand("vhd-child");
    said(&folder, &["vhd", "create", "golden.vhd", "--size", "64MB"]);
    said(&folder, &["vhd", "create", "vm1.vhd", "--parent", "golden.vhd"]);
    let check = said(&folder, &["vhd", "check", "vm1.vhd"]);
    assert!(check.contains("vm1.vhd: good. differencing disk, 0 of 32 blocks."), "{check}");
    assert!(said(&folder, &["vhd", "info", "vm1.vhd"]).contains("differs from"));
    let list: serde_json::Value = serde_json::from_str(
        &String::from_utf8(output(&folder, &["vhd", "info", "vm1.vhd", "--json"]).stdout).unwrap(),
    )
    .unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);
    fs::rename(folder.join("golden.vhd"), folder.join("moved.vhd")).unwrap();
    let (code, error) = refused(&folder, &["vhd", "check", "vm1.vhd"]);
    assert!(code == Some(2) && error.contains("golden.vhd"), "{error}");
    said(&folder, &["vhd", "reconnect", "vm1.vhd", "moved.vhd"]);
    said(&folder, &["vhd", "check", "vm1.vhd"]);
}

#[test]
fn a_disk_in_use_by_another_run_is_refused() {
    let folder = stand("vhd-locked");
    said(&folder, &["vhd", "create", "a.vhd", "--size", "64MB"]);
    let other = File::options().read(true).write(true).open(folder.join("a.vhd")).unwrap();
    other.lock().unwrap();
    let (code, error) = refused(&folder, &["vhd", "check", "a.vhd"]);
    let plain = error.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == Some(2) && plain.contains("in use"), "{error}");
    drop(other);
    said(&folder, &["vhd", "check", "a.vhd"]);
}

#[test]
fn files_that_are_no_disks_are_told_with_the_place() {
    let folder = stand("vhd-wrong");
    fs::write(folder.join("text.vhd"), "no disk").unwrap();
    said(&folder, &["vhd", "create", "a.vhd", "--size", "64MB"]);
    let whole = fs::read(folder.join("a.vhd")).unwrap();
    fs::write(folder.join("cut.vhd"), &whole[..whole.len() - 512]).unwrap();
    for (file, why) in [("text.vhd", "text.vhd"), ("cut.vhd", "cut.vhd"), ("none.vhd", "none.vhd")] {
        let (code, error) = refused(&folder, &["vhd", "check", file]);
        assert!(code == Some(2) && error.contains(why), "{file}: {code:?} {error}");
    }
    // Nothing is overwritten.
    let (code, _) = refused(&folder, &["vhd", "create", "a.vhd", "--size", "64MB"]);
    assert_eq!(code, Some(2));
    assert_eq!(fs::read(folder.join("a.vhd")).unwrap(), whole);
    let (code, error) = refused(&folder, &["vhd", "create", "b.vhd", "--size", "3TB"]);
    assert!(code == Some(2) && !folder.join("b.vhd").exists(), "{error}");
}

#[test]
fn sizes_of_a_thousand_vms_are_told_and_counted_in_real_disks() {
    let folder = stand("storage-sizing");
    let told = said(&folder, &["storage-sizing"]);
    for row in ["servers snapshot", "servers thin", "desktops snapshot", "desktops thin"] {
        assert!(told.contains(row), "{row}: {told}");
    }
    let done = output(&folder, &["storage-sizing", "--json", "--vms", "10"]);
    let cases: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let text = cases.to_string();
    assert!(text.contains("\"of_normal\""), "{text}");
    let (code, error) = refused(&folder, &["storage-sizing", "--hit", "1.5"]);
    assert!(code == Some(2) && error.contains("from 0 to 1"), "{error}");
}
