use super::*;

fn job(folder: &Path) -> Job {
    Job {
        name: "sweep-compare".to_owned(),
        program: "/opt/hv dm/xtask".into(),
        plan: folder.join("plan"),
        rows: folder.join("plan/rows"),
        folder: folder.join("plan/submit-001"),
        tasks: 20,
        points: 200,
        time_limit: Duration::from_secs(3600),
        options: Options {
            hosts: vec!["a".to_owned(), "user@b".to_owned(), ":".to_owned()],
            image: "registry.example/hv:1".to_owned(),
            claim: "sweep".to_owned(),
            parallelism: 8,
        },
    }
}

fn file<'g>(generated: &'g Generated, name: &str) -> &'g str {
    &generated.files.iter().find(|file| file.name == name).unwrap().text
}

#[test]
fn names_are_read_and_the_near_one_is_suggested() {
    for engine in Engine::ALL {
        assert_eq!(engine.name().parse(), Ok(engine));
    }
    let said = "slurn".parse::<Engine>().unwrap_err();
    assert!(said.contains("did you mean \"slurm\"?") && said.contains("kubernetes"), "{said}");
}

/// What is in a path means nothing to a shell, twice over where GNU parallel asks another shell.
#[test]
fn words_are_quoted_for_every_shell_that_reads_them() {
    let job = job(Path::new("/home/o'neil/100% $x"));
    let run = job.run("--task 3");
    assert_eq!(
        run,
        "'/opt/hv dm/xtask' sweep run --plan '/home/o'\\''neil/100% $x/plan' --rows '/home/o'\\''neil/100% $x/plan/rows' \
         --task 3 --threads 1"
    );
    let script = Engine::Parallel.generate(&job);
    let command = quoted(&job.run(&format!("{} --task {{}}", job.tasks_option())));
    assert!(file(&script, "submit.sh").contains(&command));
    assert!(file(&script, "submit.sh").contains("--sshlogin a,user@b,: "));
    // Slurm has signs of its own in names of files.
    assert!(
        file(&Engine::Slurm.generate(&job), "submit.sh").contains("100%% $x/plan/submit-001/log/%A_%a.txt")
    );
}

/// Shells read what is written for them: `sh -n`, as every machine that runs them has.
#[cfg(unix)]
#[test]
fn scripts_are_scripts() {
    let job = job(Path::new("/home/o'neil/100% $x"));
    for engine in Engine::ALL {
        for file in engine.generate(&job).files.iter().filter(|file| file.text.starts_with("#!/bin/")) {
            let shell = if file.text.starts_with("#!/bin/bash") { "bash" } else { "sh" };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(file.name);
            std::fs::write(&path, &file.text).unwrap();
            let read = std::process::Command::new(shell).arg("-n").arg(&path).output().unwrap();
            assert!(
                read.status.success(),
                "{engine} {}: {}",
                file.name,
                String::from_utf8_lossy(&read.stderr)
            );
        }
    }
}

#[test]
fn every_engine_says_what_to_type() {
    let job = job(Path::new("/data"));
    for engine in Engine::ALL {
        let generated = engine.generate(&job);
        assert!(generated.commands.len() >= 3, "{engine}");
        for file in &generated.files {
            // What is generated is for other machines: nothing of where this one was built.
            assert!(!file.text.contains(env!("CARGO_MANIFEST_DIR")), "{engine} {}", file.name);
        }
        let all: String = generated.files.iter().map(|file| file.text.as_str()).collect();
        assert!(all.contains("200 points in 20 tasks"), "{engine}");
    }
}

#[test]
fn kubernetes_runs_each_task_at_its_index() {
    let manifest = Engine::Kubernetes.generate(&job(Path::new("/data")));
    let text = file(&manifest, "job.yaml");
    for part in [
        "completionMode: Indexed",
        "completions: 20",
        "parallelism: 8",
        "backoffLimitPerIndex: 2",
        "name: sweep-compare-submit-001",
        "- \"/sweep/plan/submit-001/tasks.json\"",
        "- \"$(JOB_COMPLETION_INDEX)\"",
        "claimName: \"sweep\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
