//! QEMU's machine protocol (QMP): one JSON object per line, both ways. Bytes in, messages out; nothing here reads a socket.
//!
//! Documented in QEMU's `docs/interop/qmp-spec.rst`: the server greets, the client negotiates capabilities, then every command is answered by
//! one `return` or `error` with the command's `id`, in order; events come in between. Several commands may be sent before the first is answered.

use std::io::Write as _;

use serde_json::{Map, Value};

/// The longest line that is read. The answers that are asked for here have some hundred bytes. Invented.
pub const LONGEST_LINE: usize = 256 << 10;

/// What QEMU says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The first line of a connection.
    Greeting {
        /// QEMU's version, such as `7.2.22`.
        version: String,
    },
    /// The answer to a command.
    Answer {
        /// The command's number; `None` if the answer names none, as for a command that was no JSON.
        id: Option<u64>,
        /// What came of it.
        answer: Result<Value, Refusal>,
    },
    /// Something that happened.
    Event(Event),
}

/// A command that QEMU has not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{description} ({class})")]
pub struct Refusal {
    /// The kind of error, such as `DeviceNotActive`.
    pub class: String,
    /// What QEMU says.
    pub description: String,
}

/// Something that happened in QEMU.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name, such as `BALLOON_CHANGE`.
    pub name: String,
    /// What belongs to it.
    pub data: Map<String, Value>,
}

/// A line that is no message of QMP. The connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A line without an end.
    #[error("a line is longer than {LONGEST_LINE} bytes")]
    TooLong,
    /// No JSON object.
    #[error("{0:?} is no JSON object")]
    NoObject(String),
    /// An object that is neither greeting nor answer nor event.
    #[error("an object with the keys {0:?} is no message of QMP")]
    NoMessage(String),
}

/// Text of a peer, shortened for a message.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Makes messages of bytes.
#[derive(Debug, Default)]
pub struct Reader {
    /// What has come and has not been taken out as messages.
    bytes: Vec<u8>,
    /// Up to here there is no end of a line.
    looked: usize,
}

impl Reader {
    /// Takes what has come. Call [`message`](Self::message) until it gives nothing before there is more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message.
    ///
    /// # Errors
    /// The line is none; the connection should be closed.
    pub fn message(&mut self) -> Result<Option<Message>, Broken> {
        loop {
            let Some(end) = self.bytes[self.looked..].iter().position(|&byte| byte == b'\n') else {
                self.looked = self.bytes.len();
                return if self.looked > LONGEST_LINE { Err(Broken::TooLong) } else { Ok(None) };
            };
            let length = self.looked + end + 1;
            self.looked = 0;
            if length > LONGEST_LINE {
                return Err(Broken::TooLong);
            }
            let line = self.bytes[..length].trim_ascii();
            let message = (!line.is_empty()).then(|| message(line));
            self.bytes.drain(..length);
            if let Some(message) = message {
                return message.map(Some);
            }
        }
    }
}

fn message(line: &[u8]) -> Result<Message, Broken> {
    let no_object = || Broken::NoObject(shortened(&String::from_utf8_lossy(line)));
    let Ok(Value::Object(mut object)) = serde_json::from_slice(line) else { return Err(no_object()) };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(shortened).unwrap_or_default();
    if let Some(greeting) = object.get("QMP") {
        let number = |part: &str| greeting.pointer(part).and_then(Value::as_u64).unwrap_or(0);
        let [major, minor, micro] =
            ["major", "minor", "micro"].map(|part| number(&format!("/version/qemu/{part}")));
        return Ok(Message::Greeting { version: format!("{major}.{minor}.{micro}") });
    }
    let id = object.get("id").and_then(Value::as_u64);
    if let Some(answer) = object.remove("return") {
        return Ok(Message::Answer { id, answer: Ok(answer) });
    }
    if let Some(error) = object.get("error") {
        let refusal = Refusal { class: text(error.get("class")), description: text(error.get("desc")) };
        return Ok(Message::Answer { id, answer: Err(refusal) });
    }
    if let Some(name) = object.get("event").and_then(Value::as_str) {
        let name = shortened(name);
        let data = match object.remove("data") {
            Some(Value::Object(data)) => data,
            _ => Map::new(),
        };
        return Ok(Message::Event(Event { name, data }));
    }
    let keys: Vec<&str> = object.keys().map(String::as_str).take(4).collect();
    Err(Broken::NoMessage(shortened(&keys.join(", "))))
}

/// Commands that may be under way at a time: of more QEMU reads no further ones (documented).
pub const MOST_AT_ONCE: usize = 8;

/// Appends the line that asks QEMU for something. `arguments`: an object in JSON, or nothing.
pub fn line(out: &mut Vec<u8>, id: u64, execute: &'static str, arguments: &str) {
    // The names of commands are this crate's own, and need no quoting. Writing to memory cannot fail.
    let _ = write!(out, "{{\"execute\":\"{execute}\",\"id\":{id}");
    if !arguments.is_empty() {
        let _ = write!(out, ",\"arguments\":{arguments}");
    }
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<Result<Message, Broken>> {
        let mut reader = Reader::default();
        reader.push(bytes);
        let mut found = Vec::new();
        loop {
            match reader.message() {
                Ok(None) => return found,
                Ok(Some(message)) => found.push(Ok(message)),
                Err(broken) => {
                    found.push(Err(broken));
                    return found;
                }
            }
        }
    }

    #[test]
    fn greeting_answers_and_events_are_told_apart() {
        let lines = br#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}
{"return": {"actual": 402653184}, "id": 4}

{"id": 5, "error": {"class": "DeviceNotActive", "desc": "No balloon device has been activated"}}
{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "BALLOON_CHANGE", "data": {"actual": 268435456}}
{"event": "STOP"}
"#;
        let found: Vec<Message> = all(lines).into_iter().map(Result::unwrap).collect();
        assert_eq!(found[0], Message::Greeting { version: "7.2.22".to_owned() });
        assert_eq!(found[1], Message::Answer { id: Some(4), answer: Ok(json!({"actual": 402_653_184_u64})) });
        let Message::Answer { id: Some(5), answer: Err(refusal) } = &found[2] else { panic!("{found:?}") };
        assert_eq!(refusal.to_string(), "No balloon device has been activated (DeviceNotActive)");
        let Message::Event(event) = &found[3] else { panic!("{found:?}") };
        assert_eq!((&*event.name, event.data["actual"].as_u64()), ("BALLOON_CHANGE", Some(268_435_456)));
        assert!(matches!(&found[4], Message::Event(event) if event.data.is_empty()));
    }

    #[test]
    fn pieces_come_as_they_come() {
        let whole = b"{\"return\": {}, \"id\": 1}\r\n{\"return\": 18446744073709551615, \"id\": 2}\n";
        let mut reader = Reader::default();
        let mut found = Vec::new();
        for byte in whole {
            reader.push(&[*byte]);
            found.extend(reader.message().unwrap());
        }
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], Message::Answer { id: Some(2), answer: Ok(json!(u64::MAX)) });
    }

    #[test]
    fn what_is_no_message_breaks_the_connection_and_says_so() {
        for (bytes, expected) in [
            (&b"hello\n"[..], Broken::NoObject("hello".to_owned())),
            (b"[1]\n", Broken::NoObject("[1]".to_owned())),
            (b"{\"a\": 1, \"b\": 2}\n", Broken::NoMessage("a, b".to_owned())),
            (b"\xff\xfe\n", Broken::NoObject("\u{fffd}\u{fffd}".to_owned())),
        ] {
            assert_eq!(all(bytes).pop().unwrap().unwrap_err(), expected);
        }
        assert_eq!(all(&vec![b' '; LONGEST_LINE + 1]), [Err(Broken::TooLong)]);
        let mut long = vec![b' '; LONGEST_LINE + 1];
        long.push(b'\n');
        assert_eq!(all(&long), [Err(Broken::TooLong)]);
        // Nested deeper than any answer.
        assert!(all(&[b"{\"return\": ".to_vec(), vec![b'['; 5000], b"\n".to_vec()].concat())[0].is_err());
    }

    #[test]
    fn commands_are_lines() {
        let mut out = Vec::new();
        line(&mut out, 3, "query-balloon", "");
        line(&mut out, 4, "balloon", &json!({ "value": 1 << 20 }).to_string());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"execute\":\"query-balloon\",\"id\":3}\n{\"execute\":\"balloon\",\"id\":4,\"arguments\":{\"value\":1048576}}\n"
        );
    }
}
