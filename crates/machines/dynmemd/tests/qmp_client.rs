//! A client of QMP that waits for its answers: for whoever looks at a guest from beside, and for the script that the daemon is compared with.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    pub(crate) fn connect(place: &Path) -> Self {
        let stream = UnixStream::connect(place).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        // The greeting.
        client.line();
        client.ask("qmp_capabilities", &json!({}));
        client
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn ask(&mut self, execute: &str, arguments: &Value) -> Value {
        let line = format!("{}\n", json!({ "execute": execute, "arguments": arguments }));
        self.stream.get_mut().write_all(line.as_bytes()).unwrap();
        loop {
            let mut answer = self.line();
            if answer.get("event").is_none() {
                return answer["return"].take();
            }
        }
    }

    /// What the VM has, MiB.
    pub(crate) fn has(&mut self) -> u64 {
        self.ask("query-balloon", &json!({}))["actual"].as_u64().unwrap() >> 20
    }
}
