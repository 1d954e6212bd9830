//! HyperQueue: its command line, and its Python package where there is no command line.

use super::{File, Generated, Job, TRIES, quoted, quoted_path};
use crate::submission::TASKS_FILE;

pub(super) fn generate(job: &Job) -> Generated {
    let folder = &job.folder;
    // A task that fails is not tried again by HyperQueue; one whose worker is lost is.
    let task = format!(
        "#!/bin/bash\n\
         # One task of {name}: HQ_ENTRY has its points. Exit code 2 is wrong input, which trying again does not mend.\n\
         for try in $(seq {TRIES}); do\n\
         \x20   {run}\n\
         \x20   code=$?\n\
         \x20   if [ \"$code\" -eq 0 ] || [ \"$code\" -eq 2 ]; then break; fi\n\
         done\n\
         exit \"$code\"\n",
        name = job.name,
        run = job.run("--entry \"$HQ_ENTRY\""),
    );
    let submit = format!(
        "#!/bin/sh\n\
         # {title} Options of `hq submit` can be given, such as --wait or --priority.\n\
         set -eu\n\
         exec hq submit --name {name} --from-json {tasks} --cpus 1 --time-limit {limit}s \\\n\
         \x20   --stdout none --stderr {log} \"$@\" -- /bin/bash {script}\n",
        title = job.title("HyperQueue"),
        name = quoted(&job.name),
        tasks = quoted_path(&folder.join(TASKS_FILE)),
        limit = job.time_limit.as_secs(),
        log = quoted(&format!("{}/log/%{{TASK_ID}}.txt", folder.to_string_lossy())),
        script = quoted_path(&folder.join("task.sh")),
    );
    let python = format!(
        "#!/usr/bin/env python3\n\
         # {title} For where there is HyperQueue's Python package and no `hq`:\n\
         #   submit.py            submits to the server that runs, and waits\n\
         #   submit.py --local N  starts a server and a worker with N cores on this machine, and waits\n\
         import json\n\
         import sys\n\
         from pathlib import Path\n\
         \n\
         from hyperqueue import Client, Job, LocalCluster\n\
         from hyperqueue.cluster import WorkerConfig\n\
         \n\
         folder = Path({folder})\n\
         job = Job(name={name}, max_fails=None)\n\
         for place, points in enumerate(json.loads((folder / \"{TASKS_FILE}\").read_text())):\n\
         \x20   job.program(\n\
         \x20       [\"/bin/bash\", str(folder / \"task.sh\")],\n\
         \x20       env={{\"HQ_ENTRY\": json.dumps(points)}},\n\
         \x20       stdout=None,\n\
         \x20       stderr=str(folder / \"log\" / f\"{{place}}.txt\"),\n\
         \x20   )\n\
         \n\
         \n\
         def submit(client):\n\
         \x20   return client.wait_for_jobs([client.submit(job)], raise_on_error=False)\n\
         \n\
         \n\
         if sys.argv[1:2] == [\"--local\"]:\n\
         \x20   with LocalCluster(worker_config=WorkerConfig(cores=int(sys.argv[2]))) as cluster:\n\
         \x20       whole = submit(cluster.client())\n\
         else:\n\
         \x20   whole = submit(Client())\n\
         sys.exit(0 if whole else 1)\n",
        title = job.title("HyperQueue"),
        folder = python_text(&folder.to_string_lossy()),
        name = python_text(&job.name),
    );
    Generated {
        files: vec![
            File { name: "task.sh", text: task, executable: true },
            File { name: "submit.sh", text: submit, executable: true },
            File { name: "submit.py", text: python, executable: true },
        ],
        commands: vec![
            (
                quoted_path(&folder.join("submit.sh")),
                "submits the tasks to the server that runs (`hq server start`)",
            ),
            ("hq job progress last".to_owned(), "shows how far they are"),
            ("hq job cancel last".to_owned(), "ends all of them; what was run stays"),
            (
                format!("python3 {} --local 2", quoted_path(&folder.join("submit.py"))),
                "the same with HyperQueue's Python package alone, on this machine",
            ),
        ],
    }
}

/// A text as Python writes it. JSON's texts are Python's.
fn python_text(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
