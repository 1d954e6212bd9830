//! The controller alone, and a driver, a controller and disks in files, joined by two rings in guest memory.

mod alone;
mod machine;
mod pair;

#[path = "../examples/embed-storage.rs"]
mod embed_storage;

/// The example for a host of one's own: what it writes it reads, in under 100 lines.
#[test]
fn the_example_runs() {
    embed_storage::main().unwrap();
    assert!(include_str!("../examples/embed-storage.rs").lines().count() < 100);
}
