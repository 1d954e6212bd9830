//! A headless Chromium, driven over a pipe by the DevTools protocol (<https://chromedevtools.github.io/devtools-protocol/>).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Names by which the browser is known.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A page in a browser.
pub(crate) struct Page {
    browser: Child,
    input: ChildStdin,
    output: crossbeam_channel::Receiver<Value>,
    session: Option<String>,
    next: u64,
    /// What was said in the console or thrown.
    pub(crate) complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Page {
    /// Opens a file. `None`, with a notice: there is no browser.
    pub(crate) fn open(path: &Path, width: u32) -> Option<Self> {
        let Some(name) = NAMES.iter().find(|name| {
            let version =
                Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        }) else {
            eprintln!("skipped: there is no browser here ({})", NAMES.join(", "));
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // The browser reads what it is told from file 3 and answers to file 4.
        let mut browser = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, name])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            // Nothing but the file can be reached.
            .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("--remote-debugging-pipe")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = browser.stdin.take().unwrap();
        let mut answers = BufReader::new(browser.stdout.take().unwrap());
        let (sender, output) = crossbeam_channel::unbounded();
        std::thread::spawn(move || {
            let mut answer = Vec::new();
            while answers.read_until(0, &mut answer).is_ok_and(|length| length > 0) {
                answer.pop();
                let Ok(value) = serde_json::from_slice(&answer) else { break };
                if sender.send(value).is_err() {
                    break;
                }
                answer.clear();
            }
        });
        let mut page = Self {
            browser,
            input,
            output,
            session: None,
            next: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = page.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached =
            page.call("Target.attachToTarget", &json!({"targetId": target["targetId"], "flatten": true}));
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        page.call("Runtime.enable", &json!({}));
        page.call("Log.enable", &json!({}));
        // The browser's own first tab may come up later than this page and cover it, and nothing is drawn in a page
        // that is covered: this page is taken for seen whatever lies on it.
        page.call("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        page.call("Emulation.setDeviceMetricsOverride", &size);
        page.call("Page.navigate", &json!({"url": format!("file://{}", path.display())}));
        page.until("document.documentElement?.dataset.ready === 'true'");
        Some(page)
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.next += 1;
        let mut call = json!({"id": self.next, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            call["sessionId"] = session.as_str().into();
        }
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).unwrap();
        loop {
            let answer = self.output.recv_timeout(Duration::from_secs(120)).expect("the browser answers");
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Log.entryAdded") => {
                    self.complaints.push(answer["params"].to_string());
                }
                Some("Runtime.consoleAPICalled") if answer["params"]["type"] != "log" => {
                    self.complaints.push(answer["params"].to_string());
                }
                _ => {}
            }
        }
    }

    /// The value of an expression of JavaScript in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits, as long as the browser takes to draw a few hundred pictures, until an expression is true.
    pub(crate) fn until(&mut self, expression: &str) {
        for _ in 0..600 {
            let asked = json!({"expression": expression, "returnByValue": true});
            if self.call("Runtime.evaluate", &asked)["result"]["value"] == true {
                return;
            }
            let drawn = "new Promise((done) => { setTimeout(done, 50); })";
            self.call("Runtime.evaluate", &json!({"expression": drawn, "awaitPromise": true}));
        }
        let seen = self.value("document.visibilityState");
        panic!("{expression} does not come true; the page is {seen}; {:?}", self.complaints);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // A browser that is gone already is what is wanted.
        let _: std::io::Result<()> = self.browser.kill();
        let _: std::io::Result<std::process::ExitStatus> = self.browser.wait();
    }
}
