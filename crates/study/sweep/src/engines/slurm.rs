//! Job arrays of Slurm.

use super::{File, Generated, Job, TRIES, quoted, quoted_path};

pub(super) fn generate(job: &Job) -> Generated {
    let folder = &job.folder;
    let task = format!(
        "#!/bin/bash\n\
         # One task of {name}: the points of its place in {tasks}.\n\
         # Exit code 2 is wrong input, which trying again does not mend.\n\
         task=$((SLURM_ARRAY_TASK_ID + ${{FIRST_TASK:-0}}))\n\
         {run}\n\
         code=$?\n\
         if [ \"$code\" -ne 0 ] && [ \"$code\" -ne 2 ] && [ \"${{SLURM_RESTART_COUNT:-0}}\" -lt {retries} ]; then\n\
         \x20   # Only the points that lack their row are run again.\n\
         \x20   scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\"\n\
         fi\n\
         exit \"$code\"\n",
        name = job.name,
        tasks = super::super::submission::TASKS_FILE,
        run = job.run(&format!("{} --task \"$task\"", job.tasks_option())),
        retries = TRIES - 1,
    );
    // In names of files Slurm replaces what follows a percent sign.
    let log = folder.join("log/%A_%a.txt").to_string_lossy().into_owned();
    let log = match folder.to_string_lossy() {
        name if name.contains('%') => log.replacen(&*name, &name.replace('%', "%%"), 1),
        _ => log,
    };
    let submit = format!(
        "#!/bin/bash\n\
         # {title} Options of sbatch can be given, such as --partition=NAME or --account=NAME.\n\
         set -euo pipefail\n\
         tasks={tasks}\n\
         # An array of this cluster has so many places; what has more becomes several arrays. Slurm's own default is 1001.\n\
         size=$(scontrol show config | awk '$1 == \"MaxArraySize\" {{ print $3 }}')\n\
         size=${{MAX_ARRAY_SIZE:-${{size:-1001}}}}\n\
         for ((first = 0; first < tasks; first += size)); do\n\
         \x20   last=$((tasks - first - 1))\n\
         \x20   if ((last >= size)); then last=$((size - 1)); fi\n\
         \x20   sbatch --parsable --job-name={name} --array=\"0-$last\" --export=\"ALL,FIRST_TASK=$first\" \\\n\
         \x20       --ntasks=1 --cpus-per-task=1 --time={limit} --requeue --open-mode=append \\\n\
         \x20       --output={log} \"$@\" {script}\n\
         done\n",
        title = job.title("Slurm"),
        tasks = job.tasks,
        name = quoted(&job.name),
        limit = time(job.time_limit.as_secs()),
        log = quoted(&log),
        script = quoted_path(&folder.join("task.sh")),
    );
    Generated {
        files: vec![
            File { name: "task.sh", text: task, executable: true },
            File { name: "submit.sh", text: submit, executable: true },
        ],
        commands: vec![
            (quoted_path(&folder.join("submit.sh")), "submits the arrays, and prints the number of each"),
            (format!("squeue --name={} --array", quoted(&job.name)), "shows the tasks that wait or run"),
            (
                format!("sacct --name={} --format=JobID,State,ExitCode,Elapsed", quoted(&job.name)),
                "shows those that have ended",
            ),
            (format!("scancel --name={}", quoted(&job.name)), "ends all of them; what was run stays"),
        ],
    }
}

/// Seconds as Slurm writes them, whole minutes at least.
fn time(seconds: u64) -> String {
    let minutes = seconds.div_ceil(60).max(1);
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    format!("{days}-{hours:02}:{minutes:02}:00")
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_as_slurm_writes_them() {
        for (seconds, text) in
            [(1, "0-00:01:00"), (3600, "0-01:00:00"), (3601, "0-01:01:00"), (90_000, "1-01:00:00")]
        {
            assert_eq!(time(seconds), text);
        }
    }
}
