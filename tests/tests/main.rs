//! The tests of the whole stack, as one program: it is linked once. `cargo test -p whole-stack-tests same_bits` runs those of one file.

mod agent;
mod book;
mod compiled_once;
mod conservation;
mod counter_files;
mod devices;
mod faults;
mod flat;
mod floods;
mod fragments;
mod hostile;
mod integration;
mod linux_guest;
mod map;
mod orders;
mod page_files;
mod policies;
mod replaced_kernel;
mod replay;
mod same_bits;
mod smart_paging;
mod starts;
mod storage;
mod wire_format;

/// A file that is not listed in its program would never run.
#[test]
fn every_file_of_a_program_of_tests_is_listed_in_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut programs = vec![root.join("tests/tests/main.rs")];
    for group in std::fs::read_dir(root.join("crates")).unwrap() {
        for krate in std::fs::read_dir(group.unwrap().path()).unwrap() {
            let program = krate.unwrap().path().join("tests/main.rs");
            programs.extend(program.is_file().then_some(program));
        }
    }
    assert!(programs.len() > 4, "{programs:?}");
    for program in programs {
        let listed = std::fs::read_to_string(&program).unwrap();
        for entry in std::fs::read_dir(program.parent().unwrap()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
                assert!(
                    listed.contains(&format!("mod {module};\n")),
                    "{name} is not in {}",
                    program.display()
                );
            }
        }
    }
}
