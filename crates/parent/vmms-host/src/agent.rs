//! Reading what an agent in the guest says of its memory: a device that asks for one key of the guest's pool of key-value pairs.

use std::time::Duration;

use guest_insight::{GuestInsight, KEY};
use integration_protocol::{KeyValue, KeyValueOperation, Pool, Value};
use integration_vsp::{Event, IntegrationService, KeyValueAnswer, KeyValues, Output};
use machine_contract::{ChannelDevice, DeviceOutput};
use vmbus::control::server::Offer;

use crate::constants as c;
use crate::integration::service_offer;

/// A device for the service of key-value pairs that reads, every second, what an agent in the guest says of its memory. A guest without
/// an agent answers that it has no such key, and nothing comes of it.
#[must_use]
pub fn agent_device() -> Box<dyn ChannelDevice> {
    Box::new(AgentDevice { service: KeyValues::new(), next: None, said_wrong: false })
}

#[derive(Debug)]
struct AgentDevice {
    service: KeyValues,
    /// When the key is read next; `None` while the guest's driver is not there.
    next: Option<Duration>,
    /// What the agent says was wrong, and that was told.
    said_wrong: bool,
}

impl AgentDevice {
    fn drive(
        &mut self,
        out: &mut Vec<DeviceOutput>,
        call: impl FnOnce(&mut KeyValues, &mut Vec<Output>),
    ) -> bool {
        let mut wanted = Vec::new();
        call(&mut self.service, &mut wanted);
        let mut agreed = false;
        for output in wanted {
            match output {
                Output::Send(packet) => out.push(DeviceOutput::Send(packet)),
                Output::Event(Event::Negotiated { .. }) => agreed = true,
                Output::Event(Event::KeyValue(KeyValueAnswer::Done(pair))) => {
                    if let Some(Value::Text(text)) = &pair.value {
                        self.heard(text, out);
                    }
                }
                // No such key, no answer, or something that answers nothing: it is asked again.
                Output::Event(_) => {}
            }
        }
        agreed
    }

    fn heard(&mut self, text: &str, out: &mut Vec<DeviceOutput>) {
        match GuestInsight::parse(text) {
            Ok(insight) if !insight.is_empty() => {
                self.said_wrong = false;
                out.push(DeviceOutput::Insight(insight));
            }
            Ok(_) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.said_wrong, true) {
                    let what = format!("what the agent says of its memory is left alone: {error}");
                    out.push(DeviceOutput::Told { service: self.service.service().name(), what });
                }
            }
        }
    }

    fn ask(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.next = Some(now + c::AGENT_READ_INTERVAL.duration());
        let question = KeyValue {
            pool: Pool::Guest,
            operation: KeyValueOperation::Get,
            key: KEY.to_owned(),
            value: None,
        };
        // A question that is not answered yet is not asked again.
        self.drive(out, |service, out| {
            service.request(now, &question, out);
        });
    }
}

impl ChannelDevice for AgentDevice {
    fn offer(&self) -> Offer {
        service_offer(self.service.service())
    }

    fn opened(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.drive(out, |service, out| service.opened(now, out));
    }

    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<DeviceOutput>) {
        if self.drive(out, |service, out| service.packet(now, payload, out)) {
            self.ask(now, out);
        }
    }

    fn closed(&mut self) {
        self.next = None;
        self.service.closed(&mut Vec::new());
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.drive(out, |service, out| service.timer(now, out));
        if self.next.is_some_and(|next| next <= now) {
            self.ask(now, out);
        }
    }

    fn next_timeout(&self) -> Option<Duration> {
        [self.next, self.service.next_timeout()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use integration_protocol::{Flags, Message, MessageType, Negotiation, Status};

    use super::*;

    /// What a guest answers to a question of the host: `value` to one about the key.
    fn answer(question: &[u8], value: Option<&str>) -> Vec<u8> {
        let question = Message::decode(question).unwrap();
        let (status, body) = if question.kind == MessageType::NEGOTIATE {
            let offer = Negotiation::decode(question.body).unwrap();
            let last = |versions: &[_]| versions.last().copied().into_iter().collect();
            let chosen = Negotiation { frameworks: last(&offer.frameworks), versions: last(&offer.versions) };
            (Status::OK, chosen.encode())
        } else {
            let asked = KeyValue::decode(question.body).unwrap();
            assert_eq!((asked.pool, asked.key.as_str()), (Pool::Guest, KEY));
            let value = value.map(|text| Value::Text(text.to_owned()));
            let status = if value.is_some() { Status::OK } else { Status::NO_MORE_ITEMS };
            (status, KeyValue { value, ..asked }.encode().unwrap())
        };
        Message { status, flags: Flags::RESPONSE, body: &body, ..question }.encode()
    }

    fn only_packet(out: &mut Vec<DeviceOutput>) -> Vec<u8> {
        let packets: Vec<_> = out.extract_if(.., |output| matches!(output, DeviceOutput::Send(_))).collect();
        match &packets[..] {
            [DeviceOutput::Send(packet)] => packet.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_key_is_read_every_second_and_what_it_says_is_passed_on() {
        let (mut device, mut out) = (agent_device(), Vec::new());
        let second = Duration::from_secs;
        device.opened(second(5), &mut out);
        let negotiation = only_packet(&mut out);
        device.packet(second(5), &answer(&negotiation, None), &mut out);
        // No agent yet.
        let question = only_packet(&mut out);
        device.packet(second(5), &answer(&question, None), &mut out);
        assert_eq!((out.len(), device.next_timeout()), (0, Some(second(6))));
        for (at, says) in [(6, "active 7\n"), (7, "active many"), (8, "active few"), (9, "active 9\n")] {
            device.timer(second(at), &mut out);
            let question = only_packet(&mut out);
            device.packet(second(at), &answer(&question, Some(says)), &mut out);
        }
        let seen: Vec<_> = out
            .iter()
            .map(|output| match output {
                DeviceOutput::Insight(insight) => insight.active.unwrap().get().to_string(),
                DeviceOutput::Told { what, .. } => what.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        // What is wrong is told once.
        let wrong = "what the agent says of its memory is left alone: line 1: `active` has a number of pages";
        assert_eq!(seen, ["7", wrong, "9"]);
    }

    #[test]
    fn a_guest_that_does_not_answer_is_not_asked_twice() {
        let (mut device, mut out) = (agent_device(), Vec::new());
        let second = Duration::from_secs;
        device.opened(second(0), &mut out);
        let negotiation = only_packet(&mut out);
        device.packet(second(0), &answer(&negotiation, None), &mut out);
        let question = only_packet(&mut out);
        for at in 1..10 {
            device.timer(second(at), &mut out);
        }
        assert!(out.is_empty());
        device.packet(second(10), &answer(&question, Some("active 1")), &mut out);
        assert_eq!(out.len(), 1);
        device.closed();
        assert_eq!(device.next_timeout(), None);
    }
}
