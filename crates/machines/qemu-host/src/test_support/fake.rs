//! What QEMU 7.2 and a Linux guest with `virtio_balloon` were seen to say and do, as a state machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// What a test turns.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// The VM's name.
    pub name: String,
    /// What the VM has without a balloon, in bytes.
    pub whole: u64,
    /// What the guest needs, in bytes.
    pub used: u64,
    /// By how much its need differs from that, one way or the other and another way each second, in thousandths.
    pub wobble: u64,
    /// The guest's driver is there.
    pub driver: bool,
    /// The driver moves its balloon.
    pub moves: bool,
    /// The driver leaves the guest at least this much, in bytes.
    pub floor: u64,
    /// Bytes a second that the balloon moves.
    pub rate: u64,
    /// QEMU answers.
    pub answers: bool,
    /// The VM's processors run.
    pub running: bool,
    /// The VM is being migrated.
    pub migrating: bool,
    /// QEMU is there; otherwise it takes no connections, and those that there are are closed.
    pub there: bool,
    /// The daemon's user may write to the socket.
    pub permitted: bool,
    /// QEMU lives, though it may not be `there`.
    pub lives: bool,
    /// Connections are closed, once; QEMU goes on.
    pub hang_up: bool,
    /// Connections are taken and closed at once.
    pub closes: bool,
    /// The guest is reset, once; its driver is back after this time.
    pub reset: Option<Duration>,
    /// Sent as it is, once.
    pub say: Vec<u8>,
    /// What every value is that the guest does not give.
    pub without_available: bool,
    /// The clock (Unix time) by which QEMU stamps is off by so many seconds into the past.
    pub stamps_behind: u64,
}

impl Knobs {
    /// A VM with this much memory, whose guest needs an eighth of it.
    #[must_use]
    pub fn new(name: &str, mib: u64) -> Self {
        let whole = mib << 20;
        Self {
            name: name.to_owned(),
            whole,
            used: whole / 8,
            wobble: 0,
            driver: true,
            moves: true,
            floor: 0,
            rate: 512 << 20,
            answers: true,
            running: true,
            migrating: false,
            there: true,
            permitted: true,
            lives: false,
            hang_up: false,
            closes: false,
            reset: None,
            say: Vec::new(),
            without_available: false,
            stamps_behind: 0,
        }
    }
}

/// The QEMU.
#[derive(Debug)]
pub struct FakeQemu {
    /// What a test turns.
    pub knobs: Knobs,
    /// What the VM is to have.
    pub target: u64,
    /// What it has.
    pub actual: u64,
    /// Every amount that QEMU was asked for, in order.
    pub asked: Vec<u64>,
    /// How often somebody has connected.
    pub connections: u32,
    interval: u64,
    last_update: u64,
    back_at: Option<Duration>,
    last: Duration,
    line: Vec<u8>,
    was_running: bool,
    /// The time since 1970 when a run's time is 0.
    began: Duration,
}

/// Time since 1970 when a test begins.
pub(crate) const BEGAN: Duration = Duration::from_secs(1_800_000_000);

impl FakeQemu {
    /// A VM that has all its memory.
    #[must_use]
    pub fn new(knobs: Knobs) -> Self {
        Self {
            target: knobs.whole,
            actual: knobs.whole,
            was_running: knobs.running,
            knobs,
            asked: Vec::new(),
            connections: 0,
            interval: 0,
            last_update: 0,
            back_at: None,
            last: Duration::ZERO,
            line: Vec::new(),
            began: BEGAN,
        }
    }

    /// Stamps by this computer's clock, for a peer of a program that runs by it. Call it when the time of [`advance`](Self::advance) is 0.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "QEMU stamps what guests report with the host's clock")]
    pub fn by_the_clock(mut self) -> Self {
        self.began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self
    }

    /// Whether its guest is asked for statistics.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.interval > 0
    }

    /// The same QEMU in another run, whose time begins anew.
    pub fn resume(&mut self) {
        (self.last, self.back_at, self.last_update) = (Duration::ZERO, None, 0);
        self.line.clear();
    }

    /// What it greets with.
    #[must_use]
    pub fn greeting() -> Vec<u8> {
        let version =
            json!({ "qemu": { "micro": 22, "minor": 2, "major": 7 }, "package": "Debian 1:7.2+dfsg-7" });
        said(&json!({ "QMP": { "version": version, "capabilities": ["oob"] } }))
    }

    /// The most that the guest can use at this moment, or be given without being asked again.
    #[must_use]
    pub fn may_have(&self) -> u64 {
        if self.back_at.is_some() { self.knobs.whole } else { self.actual.max(self.target) }
    }

    /// Whether the guest is up again since it was reset.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.back_at.is_none()
    }

    /// Time has passed. Returns what QEMU says of itself.
    pub fn advance(&mut self, now: Duration) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.knobs.say);
        let passed = now.saturating_sub(self.last);
        self.last = now;
        if let Some(after) = self.knobs.reset.take() {
            self.back_at = Some(now + after);
            // Seen: several in a row, and what it had is told on.
            for _ in 0..2 {
                out.extend(said(
                    &json!({ "event": "RESET", "data": { "guest": true, "reason": "guest-reset" } }),
                ));
            }
        }
        if self.back_at.is_some_and(|at| now >= at) {
            self.back_at = None;
            self.actual = self.knobs.whole;
        }
        if std::mem::replace(&mut self.was_running, self.knobs.running) != self.knobs.running {
            let event = if self.knobs.running { "RESUME" } else { "STOP" };
            out.extend(said(&json!({ "event": event })));
        }
        let up = self.knobs.driver && self.knobs.running && self.back_at.is_none();
        if up && self.knobs.moves {
            let step = u64::try_from(passed.as_nanos() * u128::from(self.knobs.rate) / 1_000_000_000)
                .unwrap_or(u64::MAX);
            let before = self.actual;
            self.actual = if self.target < self.actual {
                self.target.max(self.knobs.floor).max(self.actual.saturating_sub(step)).min(self.actual)
            } else {
                self.target.min(self.actual.saturating_add(step))
            } / 4096
                * 4096;
            if self.actual != before && self.actual == self.target {
                out.extend(said(&json!({ "event": "BALLOON_CHANGE", "data": { "actual": self.actual } })));
            }
        }
        if up && self.interval > 0 {
            self.last_update = (self.began + now).as_secs() - self.knobs.stamps_behind;
        }
        out
    }

    /// Hears bytes, and says what QEMU answers.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                let command: Value = serde_json::from_slice(&line).unwrap_or_default();
                out.extend(said(&self.command(&command)));
            } else {
                self.line.push(byte);
            }
        }
        out
    }

    fn command(&mut self, command: &Value) -> Value {
        let argument =
            |name: &str| command.pointer(&format!("/arguments/{name}")).cloned().unwrap_or_default();
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let answer = match command["execute"].as_str().unwrap_or_default() {
            "qmp_capabilities" => Ok(json!({})),
            "query-name" => Ok(json!({ "name": self.knobs.name })),
            "query-status" => {
                let word = if self.knobs.running { "running" } else { "paused" };
                Ok(json!({ "status": word, "singlestep": false, "running": self.knobs.running }))
            }
            "query-migrate" if self.knobs.migrating => Ok(json!({ "status": "active" })),
            "query-migrate" => Ok(json!({})),
            "query-memory-size-summary" => {
                Ok(json!({ "base-memory": self.knobs.whole, "plugged-memory": 0 }))
            }
            "query-memory-devices" => Ok(json!([])),
            "query-balloon" => Ok(json!({ "actual": self.actual })),
            "qom-list" if text(argument("path")) == "/machine/peripheral" => Ok(json!([
                { "name": "type", "type": "string" },
                { "name": "balloon0", "type": "child<virtio-balloon-pci>" },
            ])),
            "qom-list" => Ok(json!([{ "name": "type", "type": "string" }])),
            "qom-get" if text(argument("property")) == "guest-stats" => Ok(self.statistics()),
            "qom-get" => Ok(json!(self.interval)),
            "qom-set" => {
                self.interval = argument("value").as_u64().unwrap_or(0);
                Ok(json!({}))
            }
            "balloon" => {
                self.target = argument("value").as_u64().unwrap_or(0).min(self.knobs.whole);
                self.asked.push(self.target);
                Ok(json!({}))
            }
            other => Err(
                json!({ "class": "CommandNotFound", "desc": format!("The command {other} has not been found") }),
            ),
        };
        match answer {
            Ok(answer) => json!({ "return": answer, "id": command["id"] }),
            Err(error) => json!({ "error": error, "id": command["id"] }),
        }
    }

    /// What the guest needs in the second of its statistics.
    fn needs(&self) -> u64 {
        let span = self.knobs.used / 1000 * self.knobs.wobble;
        // Anything that differs from second to second and from VM to VM, and is the same whenever it is asked.
        let name = self
            .knobs
            .name
            .bytes()
            .fold(self.last_update, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let at = name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        self.knobs.used - span + 2 * span * at / 1023
    }

    fn statistics(&self) -> Value {
        let missing = u64::MAX;
        let (available, free) = if self.last_update == 0 {
            (missing, missing)
        } else {
            let available = self.actual.saturating_sub(self.needs());
            (if self.knobs.without_available { missing } else { available }, available)
        };
        let stats = json!({
            "stat-available-memory": available, "stat-free-memory": free, "stat-total-memory": self.knobs.whole,
            "stat-swap-in": 0, "stat-swap-out": 0, "stat-disk-caches": 0, "stat-major-faults": 0, "stat-minor-faults": 1,
            "stat-htlb-pgalloc": missing, "stat-htlb-pgfail": missing,
        });
        json!({ "stats": stats, "last-update": self.last_update })
    }
}

fn said(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.extend_from_slice(b"\r\n");
    line
}
