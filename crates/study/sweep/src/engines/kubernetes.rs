//! An Indexed Job of Kubernetes, and the recipe of the image that its pods run.

use super::{File, Generated, Job, TRIES, quoted, quoted_path};
use crate::submission::TASKS_FILE;

/// Where the volume is in a pod.
const VOLUME: &str = "/sweep";

/// The recipe of the image: built in the project's folder.
const CONTAINERFILE: &str = "\
# Built in the project's folder, from the sources that the plan was made with: rows of another version are refused.
FROM docker.io/library/rust:1-slim-bookworm AS build
WORKDIR /project
COPY . .
RUN cargo build --locked --release --package xtask --features bound

FROM docker.io/library/debian:bookworm-slim
COPY --from=build /project/target/release/xtask /usr/local/bin/xtask
ENTRYPOINT [\"/usr/local/bin/xtask\"]
";

/// What of the project's folder no image needs.
const IGNORE: &str = "Containerfile.dockerignore";
const IGNORED: &str = "target\n**/target\nruns\n.git\n";

pub(super) fn generate(job: &Job) -> Generated {
    let folder = &job.folder;
    let submission = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = label(&format!("{}-{submission}", job.name));
    let plan = format!("{VOLUME}/plan");
    // Kubernetes replaces `$(NAME)` in arguments.
    let arguments = [
        "sweep".to_owned(),
        "run".to_owned(),
        "--plan".to_owned(),
        plan.clone(),
        "--tasks".to_owned(),
        format!("{plan}/{submission}/{TASKS_FILE}"),
        "--task".to_owned(),
        "$(JOB_COMPLETION_INDEX)".to_owned(),
        "--threads".to_owned(),
        "1".to_owned(),
    ];
    let arguments: String = arguments.iter().map(|word| format!("\n            - {}", yaml(word))).collect();
    let manifest = format!(
        "# {title}\n\
         apiVersion: batch/v1\n\
         kind: Job\n\
         metadata:\n\
         \x20 name: {name}\n\
         spec:\n\
         \x20 completionMode: Indexed\n\
         \x20 completions: {tasks}\n\
         \x20 parallelism: {parallelism}\n\
         \x20 # A task whose pod fails or is lost is started again, and runs only the points that lack their row.\n\
         \x20 backoffLimitPerIndex: {retries}\n\
         \x20 podFailurePolicy:\n\
         \x20   rules:\n\
         \x20     # A node that is drained or lost is nobody's failure.\n\
         \x20     - action: Ignore\n\
         \x20       onPodConditions:\n\
         \x20         - type: DisruptionTarget\n\
         \x20           status: \"True\"\n\
         \x20     # Exit code 2 is wrong input, which trying again does not mend.\n\
         \x20     - action: FailJob\n\
         \x20       onExitCodes:\n\
         \x20         containerName: sweep\n\
         \x20         operator: In\n\
         \x20         values: [2]\n\
         \x20 template:\n\
         \x20   spec:\n\
         \x20     restartPolicy: Never\n\
         \x20     activeDeadlineSeconds: {limit}\n\
         \x20     containers:\n\
         \x20       - name: sweep\n\
         \x20         image: {image}\n\
         \x20         args:{arguments}\n\
         \x20         resources:\n\
         \x20           requests:\n\
         \x20             cpu: \"1\"\n\
         \x20             memory: 512Mi\n\
         \x20           limits:\n\
         \x20             memory: 2Gi\n\
         \x20         volumeMounts:\n\
         \x20           - name: sweep\n\
         \x20             mountPath: {VOLUME}\n\
         \x20     volumes:\n\
         \x20       - name: sweep\n\
         \x20         persistentVolumeClaim:\n\
         \x20           claimName: {claim}\n",
        title = job.title("Kubernetes"),
        tasks = job.tasks,
        parallelism = job.options.parallelism.min(job.tasks.max(1)),
        retries = TRIES - 1,
        limit = job.time_limit.as_secs().max(60),
        image = yaml(&job.options.image),
        claim = yaml(&job.options.claim),
    );
    let pod = format!(
        "# A pod that holds the volume while folders are copied into it and out of it.\n\
         apiVersion: v1\n\
         kind: Pod\n\
         metadata:\n\
         \x20 name: {name}-files\n\
         spec:\n\
         \x20 restartPolicy: Never\n\
         \x20 containers:\n\
         \x20   - name: files\n\
         \x20     image: docker.io/library/debian:bookworm-slim\n\
         \x20     command: [\"sleep\", \"86400\"]\n\
         \x20     volumeMounts:\n\
         \x20       - name: sweep\n\
         \x20         mountPath: {VOLUME}\n\
         \x20 volumes:\n\
         \x20   - name: sweep\n\
         \x20     persistentVolumeClaim:\n\
         \x20       claimName: {claim}\n",
        claim = yaml(&job.options.claim),
    );
    let file = |name: &str| quoted_path(&folder.join(name));
    let image = quoted(&job.options.image);
    let folder = quoted_path(&job.plan);
    let inside = format!("kubectl exec -i {name}-files --");
    Generated {
        files: vec![
            File { name: "job.yaml", text: manifest, executable: false },
            File { name: "files.yaml", text: pod, executable: false },
            File { name: "Containerfile", text: CONTAINERFILE.to_owned(), executable: false },
            File { name: IGNORE, text: IGNORED.to_owned(), executable: false },
        ],
        commands: vec![
            (
                format!(
                    "podman build -f {} --ignorefile {} -t {image} .",
                    file("Containerfile"),
                    file(IGNORE)
                ),
                "makes the image, in the project's folder; docker build finds the other file by itself",
            ),
            (format!("podman push {image}"), "to where the cluster finds it"),
            (format!("kubectl apply -f {}", file("files.yaml")), "a pod that holds the volume"),
            (format!("kubectl wait --for=condition=Ready pod/{name}-files"), "until it runs"),
            (
                format!("tar -C {folder} -cf - . | {inside} sh -c 'mkdir -p {plan} && tar -C {plan} -xf -'"),
                "copies the plan into the volume",
            ),
            (format!("kubectl apply -f {}", file("job.yaml")), "starts the tasks"),
            (format!("kubectl get job {name} --watch"), "shows how many have ended"),
            (format!("kubectl logs -l job-name={name} --prefix --tail=20"), "shows what they say"),
            (
                format!("{inside} tar -C {plan}/rows -cf - . | tar -C {} -xf -", quoted_path(&job.rows)),
                "copies the rows back, at any time",
            ),
            (
                format!("kubectl delete job {name} pod/{name}-files"),
                "ends it; what was run stays in the volume",
            ),
        ],
    }
}

/// A name that Kubernetes takes for a job: a label of a domain name, with room for what it adds.
fn label(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = text.chars().map(plain).take(50).collect();
    let text = text.trim_matches('-');
    if text.is_empty() { "sweep".to_owned() } else { text.to_owned() }
}

/// A text as YAML takes it whatever is in it: JSON is YAML.
fn yaml(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn names_are_labels() {
        assert_eq!(label("sweep-compare-submit-001"), "sweep-compare-submit-001");
        assert_eq!(label("Ä/B c"), "b-c");
        assert_eq!(label("---"), "sweep");
        assert!(label(&"x".repeat(99)).len() <= 50);
    }
}
