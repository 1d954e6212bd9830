//! GNU parallel: one machine, or several over ssh that share the folders.

use super::{File, Generated, Job, TRIES, quoted, quoted_path};

pub(super) fn generate(job: &Job) -> Generated {
    let hosts = match job.options.hosts.as_slice() {
        [] => String::new(),
        hosts => format!(" --sshlogin {}", quoted(&hosts.join(","))),
    };
    // GNU parallel gives the command to a shell once more.
    let command = quoted(&job.run(&format!("{} --task {{}}", job.tasks_option())));
    let text = format!(
        "#!/bin/sh\n\
         # {title} Run this again at any time: rows that are there are not made again.\n\
         # Options of GNU parallel can be given, such as --jobs 50% or --sshloginfile HOSTS. All hosts see the same folders.\n\
         set -u\n\
         seq 0 {last} | parallel --will-cite --jobs 100% --retries {TRIES} --joblog {log}{hosts} \"$@\" {command}\n\
         {status}\n",
        title = job.title("GNU parallel"),
        last = job.tasks.saturating_sub(1),
        log = quoted_path(&job.folder.join("joblog.tsv")),
        status = job.status(),
    );
    let script = job.folder.join("submit.sh");
    Generated {
        files: vec![File { name: "submit.sh", text, executable: true }],
        commands: vec![
            (quoted_path(&script), "runs the tasks, on every core of every host"),
            (format!("{} --dry-run", quoted_path(&script)), "only says what would be run"),
            (
                format!("tail -f {}", quoted_path(&job.folder.join("joblog.tsv"))),
                "shows the tasks that have ended",
            ),
        ],
    }
}
