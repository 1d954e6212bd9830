//! `virtio-mem`: blocks of memory that the guest's driver plugs and unplugs.
//!
//! Documented: the QOM property `requested-size` says what is to be plugged, in whole blocks; `size` in `query-memory-devices` is what is
//! plugged; the event `MEMORY_DEVICE_SIZE_CHANGE` tells of changes, once a second at most. A guest unplugs what it can empty, so taking
//! memory may stop short for ever. The guest says nothing of its needs here: a `virtio-balloon` beside it does.

use core::time::Duration;

use serde_json::{Value, json};

use super::{Ask, Command, Device, Heard, Kind, Limits, Now};
use crate::qmp::{Event, Refusal};

/// The block size, until QEMU has named it (documented default with transparent huge pages of 2 MiB).
const BLOCK: u64 = 2 << 20;

/// The device.
#[derive(Debug)]
pub struct VirtioMem {
    path: String,
    /// What the VM has besides this device.
    base: u64,
    size: Option<u64>,
    requested: u64,
    most: u64,
    block: u64,
}

impl VirtioMem {
    /// The device at a QOM path, in a VM that boots with `base` bytes.
    #[must_use]
    pub fn new(path: String, base: u64) -> Self {
        Self { path, base, size: None, requested: 0, most: 0, block: BLOCK }
    }

    fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn state(&mut self, answer: &Value) -> Option<()> {
        let devices = answer
            .as_array()?
            .iter()
            .filter(|device| device.get("type").and_then(Value::as_str) == Some("virtio-mem"));
        let mut devices = devices.filter_map(|device| device.get("data"));
        let own = devices.find(|data| data.get("id").and_then(Value::as_str) == Some(self.id()))?;
        let number = |name: &str| own.get(name).and_then(Value::as_u64);
        let (size, most, block) = (number("size")?, number("max-size")?, number("block-size")?);
        if size > most || block == 0 || self.base.checked_add(most).is_none() {
            return None;
        }
        (self.size, self.most, self.block) = (Some(size), most, block);
        self.requested = number("requested-size")?.min(most);
        Some(())
    }
}

impl Device for VirtioMem {
    fn kind(&self) -> Kind {
        Kind::VirtioMem
    }

    fn begin(&mut self) -> Vec<Command> {
        self.poll(true)
    }

    fn poll(&mut self, _moving: bool) -> Vec<Command> {
        vec![Command::plain(Ask::Actual, "query-memory-devices")]
    }

    fn request(&mut self, _now: Now, bytes: u64) -> Option<Command> {
        let size = self.size?;
        let wanted = bytes.saturating_sub(self.base).min(self.most);
        let wanted = wanted - wanted % self.block;
        // One request at a time (a guest that is still busy with another loses count, as virtio-win 1607 shows); what the VM has already
        // ends a request.
        if self.requested != size && wanted != size {
            return None;
        }
        self.requested = wanted;
        let arguments = json!({ "path": self.path, "property": "requested-size", "value": wanted });
        Some(Command::new(Ask::Request, "qom-set", &arguments))
    }

    fn answered(&mut self, _now: Now, ask: Ask, answer: Result<&Value, &Refusal>) -> Heard {
        match (ask, answer) {
            (Ask::Actual, Ok(answer)) => match self.state(answer) {
                Some(()) => Heard::Actual,
                None => Heard::Nonsense("the state of the memory devices"),
            },
            (Ask::Actual, Err(_)) => Heard::Nonsense("the state of the memory devices"),
            (Ask::Request, Ok(_)) => Heard::Accepted,
            (Ask::Request, Err(refusal)) => Heard::Refused(refusal.clone()),
            _ => Heard::NothingNew,
        }
    }

    fn event(&mut self, _now: Now, event: &Event) -> Option<Heard> {
        let own = event.name == "MEMORY_DEVICE_SIZE_CHANGE"
            && event.data.get("qom-path").and_then(Value::as_str).is_none_or(|path| path == self.path);
        let size = own.then(|| event.data.get("size"))?;
        Some(match size.and_then(Value::as_u64) {
            Some(size) if size <= self.most => {
                self.size = Some(size);
                Heard::Actual
            }
            _ => Heard::Nonsense("the size of a memory device"),
        })
    }

    fn actual(&self) -> Option<u64> {
        Some(self.base + self.size?)
    }

    fn limits(&self) -> Limits {
        Limits {
            least: self.base,
            most: self.base + self.most,
            granule: self.block,
            hot_add: true,
            returnable: 0,
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn arguments(command: &Command) -> Value {
        serde_json::from_str(&command.arguments).unwrap()
    }

    fn devices(size: u64, requested: u64) -> Value {
        json!([
            { "type": "dimm", "data": { "id": "d0", "size": 1 } },
            { "type": "virtio-mem", "data": { "id": "vm0", "size": size, "requested-size": requested,
              "max-size": 512 * MIB, "block-size": 2 * MIB } },
        ])
    }

    #[test]
    fn requests_are_whole_blocks_and_one_at_a_time() {
        let mut device = VirtioMem::new("/machine/peripheral/vm0".to_owned(), 256 * MIB);
        assert!(device.request(Now::default(), 300 * MIB).is_none(), "before anything is known");
        assert_eq!(device.answered(Now::default(), Ask::Actual, Ok(&devices(0, 0))), Heard::Actual);
        assert_eq!(device.actual(), Some(256 * MIB));
        assert_eq!(
            device.limits(),
            Limits { least: 256 * MIB, most: 768 * MIB, granule: 2 * MIB, hot_add: true, returnable: 0 }
        );
        let command = device.request(Now::default(), 259 * MIB).unwrap();
        assert_eq!(arguments(&command)["value"], 2 * MIB);
        assert!(device.request(Now::default(), 300 * MIB).is_none(), "the guest is busy");
        assert!(device.request(Now::default(), 256 * MIB).is_some(), "what it has ends the request");
        device.answered(Now::default(), Ask::Actual, Ok(&devices(4 * MIB, 4 * MIB)));
        assert_eq!(arguments(&device.request(Now::default(), u64::MAX).unwrap())["value"], 512 * MIB);
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        let mut device = VirtioMem::new("/machine/peripheral/vm0".to_owned(), 256 * MIB);
        device.answered(Now::default(), Ask::Actual, Ok(&devices(4 * MIB, 4 * MIB)));
        for answer in [devices(u64::MAX, 0), json!([]), json!({}), json!([{ "type": "virtio-mem" }])] {
            assert!(matches!(device.answered(Now::default(), Ask::Actual, Ok(&answer)), Heard::Nonsense(_)));
        }
        let event = |size: u64| Event {
            name: "MEMORY_DEVICE_SIZE_CHANGE".to_owned(),
            data: json!({ "id": "vm0", "size": size, "qom-path": "/machine/peripheral/vm0" })
                .as_object()
                .unwrap()
                .clone(),
        };
        assert!(matches!(device.event(Now::default(), &event(u64::MAX)), Some(Heard::Nonsense(_))));
        assert_eq!(device.actual(), Some(260 * MIB));
        assert_eq!(device.event(Now::default(), &event(2 * MIB)), Some(Heard::Actual));
        assert_eq!(device.actual(), Some(258 * MIB));
    }
}
